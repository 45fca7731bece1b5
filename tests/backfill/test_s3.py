# SPDX-License-Identifier: Apache-2.0
"""From S3: what the listener wrote is what is stored, of the window and of nothing else."""
import collections
import os
import signal
import subprocess
import time

import harness
import payloads
import secure
from standins import ACCOUNT, NOVEMBER, Gate, environment

DAY = 86400
HOUR = 3600
OTHER = "210987654321"


def records(count, start, **fields):
    """Records that begin at start and each a second later."""
    return [payloads.record(start=start + n, end=start + n + 60, **fields) for n in range(count)]


def object_of(lines):
    return payloads.zipped(payloads.with_header(lines))


def assert_once(daemon, lines):
    """Each record's flow once and no other."""
    got = collections.Counter(daemon.lines())
    wanted = collections.Counter(payloads.ftsq_lines(lines))
    assert got == wanted, f"{sum((wanted - got).values())} missing, {sum((got - wanted).values())} too many"


def small(folder, count, lines=20):
    """So many objects, five minutes apart. Their names and records."""
    objects = {}
    for n in range(count):
        made = records(lines, NOVEMBER + 300 * n)
        objects[folder.add(NOVEMBER + 300 * n + 300, object_of(made))] = made
    folder.store()
    return objects


def everything(objects):
    return [line for lines in objects.values() for line in lines]


def test_window(start, backfill, folder):
    inside, outside = [], []
    # Around both edges in one file each; the second was made well after the window's end.
    for at, made in ((NOVEMBER, NOVEMBER + 300), (NOVEMBER + DAY, NOVEMBER + DAY + 1500)):
        before, after = records(30, at - 30), records(30, at)
        folder.add(made, object_of(before + after + [payloads.NODATA.replace("1431280876", str(at))]))
        (outside if at == NOVEMBER else inside).extend(before)
        (inside if at == NOVEMBER else outside).extend(after)
    # All the layouts, accounts and regions.
    for n, how in enumerate(({}, {"hourly": True}, {"hive": True}, {"hive": True, "hourly": True},
                             {"account": OTHER, "region": "us-east-1"})):
        lines = records(50, NOVEMBER + HOUR * n, account_id=how.get("account", ACCOUNT))
        folder.add(NOVEMBER + HOUR * n + 300, object_of(lines), **how)
        inside += lines
    for day in -2, 3:
        lines = records(5, NOVEMBER + day * DAY)
        folder.add(NOVEMBER + day * DAY, object_of(lines))
        outside += lines
    folder.store()
    window = "-s", "2026-11-01 00:00:00", "-e", "2026-11-02", "-p", 6

    with start() as daemon:
        done = backfill(folder.source, *window, endpoint=folder.endpoint, to=daemon.address)
        assert done.total("flows") == len(inside)
        assert done.total("objects") == 7 and done.total("failed") == 0
        assert_once(daemon, inside)
        # A call for the accounts, one each for an account's regions, one for each region's days.
        listed = folder.listed()
        assert len(listed) == 1 + 3 + 3
        assert sum(f"start-after={folder.name}/AWSLogs/" in line for line in listed) == 3
        assert sum("2026/10/31/" in line or "month=10/day=31/" in line for line in listed) == 3

        fetched = folder.fetched()
        # A longer time: of the files at the edges only the rest is sent, of the others nothing.
        backfill(folder.region, "-s", "2026-10-29", "-e", "2026-11-05", endpoint=folder.endpoint,
                 to=daemon.address)
        assert_once(daemon, inside + outside)
        # The two at the edges once more, and the two that were made on other days.
        assert (folder.fetched() - fetched).total() == 4


def test_chosen(start, backfill, folder):
    wanted = records(10, NOVEMBER, account_id=OTHER)
    for account in ACCOUNT, OTHER, "333333333333":
        for region in "us-east-1", "us-west-2":
            chosen = (account, region) == (OTHER, "us-west-2")
            lines = wanted if chosen else records(10, NOVEMBER)
            folder.add(NOVEMBER + 300, object_of(lines), account=account, region=region)
    folder.store()
    window = "-s", NOVEMBER, "-e", NOVEMBER + HOUR
    with start() as daemon:
        how = {"endpoint": folder.endpoint, "to": daemon.address}
        backfill(folder.source, *window, "--accounts", OTHER, "--regions", "us-west-2,eu-north-1", **how)
        assert_once(daemon, wanted)
        listed = folder.listed()
        assert len(listed) == 3 and not any("us-east-1/" in line for line in listed)

        # The same by pointing at it; what is above is not listed then.
        done = backfill(f"{folder.source}/AWSLogs/{OTHER}/vpcflowlogs/us-west-2", *window, **how)
        assert done.total("objects skipped") == 1
        assert len(folder.listed()) == 4


def test_what_is_no_flow_log(start, backfill, folder):
    good = records(20, NOVEMBER)
    folder.add(NOVEMBER + 300, object_of(good))
    for n in range(3):
        folder.add(NOVEMBER + 300, b"PAR1", ending="log.parquet")
    folder.add_key(f"AWSLogs/{ACCOUNT}/vpcflowlogs/eu-west-1/2026/11/01/notes.txt", b"notes")
    folder.store()
    with start() as daemon:
        done = backfill(folder.region, "-s", "2026-11-01", "-e", "2026-11-02", status=1,
                        endpoint=folder.endpoint, to=daemon.address)
        assert "/eu-west-1/: 3 Parquet objects: refused" in done.err
        assert "/eu-west-1/: 1 objects not named as flow logs are: refused" in done.err
        assert done.total("failed") == 4
        assert_once(daemon, good)


def test_damaged(start, backfill, folder):
    good = [records(20, NOVEMBER + 300 * n) for n in range(2)]
    for lines in good:
        folder.add(NOVEMBER + 600, object_of(lines))
    whole = object_of(records(2000, NOVEMBER))
    middle = len(whole) // 2
    damaged = {
        folder.add(NOVEMBER + 300, whole[:middle]): "not gzip, or damaged: unexpected end of file",
        folder.add(NOVEMBER + 300, whole[:middle] + b"\0\0\0\0" + whole[middle + 4:]): "not gzip, or damaged",
        folder.add(NOVEMBER + 300, b"2 123456789012 no gzip"): "not gzip, or damaged: incorrect header check",
        folder.add(NOVEMBER + 300, payloads.zipped(payloads.plain(records(3, NOVEMBER)))): "no header line",
        folder.add(NOVEMBER + 300, payloads.zipped(b"version start srcaddr\nx %d x\n" % NOVEMBER)): "rejected by the listener: nothing_converted",
    }
    folder.store()
    window = "-s", "2026-11-01", "-e", "2026-11-02"
    with start() as daemon:
        how = {"endpoint": folder.endpoint, "to": daemon.address, "status": 1}
        done = backfill(folder.region, *window, **how)
        for name, why in damaged.items():
            assert f"FAILED {name}: {why}" in done.err
        assert done.total("failed") == len(damaged) and done.total("objects") == len(good)
        assert "run the same again to continue" in done.err
        # So that they are tried again, and the others are not.
        assert len(done.state()) == len(good)
        assert_once(daemon, [line for lines in good for line in lines])


def test_killed(start, begin, backfill, folder):
    """Three objects are acknowledged, others under way: kill -9, and again."""
    objects = small(folder, 6)
    window = "-s", "2026-11-01", "-e", "2026-11-02", "-p", 2
    with start() as daemon:
        with Gate(daemon.address, lambda n: "pass" if n <= 3 else "WAIT") as gate:
            with begin(folder.region, *window, endpoint=folder.endpoint, to=gate.address) as first:
                harness.wait_for("three to be written down", lambda: len(first.state()) == 3)
                harness.wait_for("more to be under way", lambda: gate.count >= 5)
                first.kill()
        # As a crash of the machine may leave it.
        with open(first.state_path, "ab") as file:
            file.write(b'{"object":"s3://torn')
        done = backfill(folder.region, *window, endpoint=folder.endpoint, to=daemon.address)
        assert done.total("objects skipped") == 3 and done.total("objects") == 3
        assert_once(daemon, everything(objects))

        # And again: nothing is even fetched.
        fetched = folder.fetched()
        third = backfill(folder.region, *window, endpoint=folder.endpoint, to=daemon.address)
        assert third.total("objects skipped") == 6 and third.total("flows") == 0
        assert folder.fetched() == fetched
        assert "1 lines cannot be read" in third.err


def test_killed_before_it_was_written_down(start, begin, backfill, folder):
    """The listener has it, the state file has not: it is sent again, and the listener knows it."""
    objects = small(folder, 4)
    window = "-s", "2026-11-01", "-e", "2026-11-02", "-p", 1
    with start() as daemon:
        with Gate(daemon.address, lambda n: "pass" if n <= 2 else "lose") as gate:
            with begin(folder.region, *window, endpoint=folder.endpoint, to=gate.address) as first:
                daemon.wait_lines(60)
                first.kill()
        assert len(first.state()) == 2
        done = backfill(folder.region, *window, endpoint=folder.endpoint, to=daemon.address)
        assert done.total("duplicates") == 1 and done.total("objects") == 2
        assert_once(daemon, everything(objects))


def test_state_is_lost(start, backfill, folder):
    """All is sent again, and what the listener has had it does not convert again; so with --again."""
    objects = small(folder, 3)
    window = "-s", "2026-11-01", "-e", "2026-11-02"
    with start() as daemon:
        how = {"endpoint": folder.endpoint, "to": daemon.address}
        first = backfill(folder.region, *window, **how)
        assert first.total("objects") == 3 and first.total("duplicates") == 0
        for options, more in ([], {"state": "other"}), (["--again"], {}):
            done = backfill(folder.region, *window, *options, **more, **how)
            assert done.total("objects") == 3 and done.total("objects skipped") == 0
            assert done.total("duplicates") == 3
        assert_once(daemon, everything(objects))


def test_interrupted(start, begin, backfill, folder):
    """Ctrl-C: says so, lets go of the state, exit status 1."""
    objects = small(folder, 4)
    window = "-s", "2026-11-01", "-e", "2026-11-02", "-p", 2
    with start() as daemon:
        with Gate(daemon.address, lambda n: "pass" if n <= 2 else "WAIT") as gate:
            how = {"endpoint": folder.endpoint, "to": gate.address}
            with begin(folder.region, *window, **how) as first:
                harness.wait_for("more to be under way", lambda: gate.count >= 3 and first.state())
                other = backfill(folder.region, *window, status=1, **how)
                assert f"process {first.process.pid} works with" in other.err
                first.process.send_signal(signal.SIGINT)
                first.wait(1)
        assert "stopped: by SIGINT" in first.err and "again to continue" in first.err
        assert not os.path.exists(first.state_path + ".lock")
        assert len(daemon.lines()) == 20 * len(first.state()) and len(first.state()) < len(objects)


def test_listener_in_trouble(start, backfill, folder):
    """It has no room, it breaks off, it has had that already: all arrives, and once where it said so."""
    objects = small(folder, 5)
    answers = {1: "RETRY 0 overload", 2: "RETRY 1 overload", 4: "cut", 6: "RETRY 0 draining", 7: "DUP 20"}
    with start() as daemon, Gate(daemon.address, lambda n: answers.get(n, "pass")) as gate:
        done = backfill(folder.region, "-s", "2026-11-01", "-e", "2026-11-02", "-p", 2,
                        endpoint=folder.endpoint, to=gate.address)
        assert done.total("failed") == 0 and done.total("objects") == 5
        assert done.total("flows") == 100 and done.total("duplicates") == 1
        assert "the listener: RETRY overload; again in" in done.err
        # What the gate called a duplicate it has kept for itself.
        assert len(set(daemon.lines())) == len(daemon.lines()) == 80
        assert set(daemon.lines()) < set(payloads.ftsq_lines(everything(objects)))


def test_listener_goes_and_comes_back(start, begin, folder):
    objects = small(folder, 4)
    with start() as first:
        with Gate(first.address, lambda n: "pass" if n <= 2 else "cut") as gate:
            with begin(folder.region, "-s", "2026-11-01", "-e", "2026-11-02", "-p", 2,
                       endpoint=folder.endpoint, to=gate.address) as run:
                run.wait_says("the listener: closed by the listener.*; again in")
                lines = first.terminate()
                with start() as second:
                    gate.decide = lambda n: "pass"
                    gate.listener = second.address
                    run.wait(0)
                    got = lines + second.terminate()
    assert sorted(got) == sorted(payloads.ftsq_lines(everything(objects)))


def test_no_listener(start, backfill, folder):
    """Patience has an end, and a token that is wrong is not tried again."""
    small(folder, 1)
    window = "-s", "2026-11-01", "-e", "2026-11-02"
    away = backfill(folder.region, *window, "--patience", "1s", status=1, endpoint=folder.endpoint,
                    to=("127.0.0.1", 9))
    assert "stopped: the listener: not taken in time" in away.err and not away.state()
    tokens = os.path.join(away.folder, "tokens")
    with open(tokens, "w", encoding="ascii") as file:
        file.write("# ours\ncorrect-horse\n")
    with start("--token-file", tokens) as daemon:
        how = {"endpoint": folder.endpoint, "to": daemon.address}
        refused = backfill(folder.region, *window, status=1, env={"VPCFLOWD_TOKEN": "wrong"}, **how)
        assert "stopped: the listener" in refused.err and "auth" in refused.err
        backfill(folder.region, *window, "--token-file", tokens, **how)
        assert len(daemon.lines()) == 20


def test_over_tls(start, backfill, folder, tmp_path):
    objects = small(folder, 2)
    window = "-s", "2026-11-01", "-e", "2026-11-02"
    made = secure.Certificates(tmp_path / "certificates")
    with start(*made.listener()) as daemon:
        how = {"endpoint": folder.endpoint, "to": daemon.address}
        refused = backfill(folder.region, *window, "--patience", "1s", status=1, env={
            "VPCFLOWD_TLS": "on", "VPCFLOWD_CA": made.pem("stranger")}, **how)
        assert "the listener's certificate is refused" in refused.err and not refused.state()
        backfill(folder.region, *window, env={"VPCFLOWD_TLS": "on", "VPCFLOWD_CA": made.pem("ca")}, **how)
        assert_once(daemon, everything(objects))


def test_parallel(start, backfill, folder):
    objects = small(folder, 4, lines=5)

    def decide(n):
        # The first waits for company, which comes when objects are sent side by side.
        if n == 1:
            until = time.monotonic() + harness.WAIT
            while gate.open < 3 and time.monotonic() < until:
                time.sleep(0.01)
        return "pass"

    with start() as daemon, Gate(daemon.address, decide) as gate:
        backfill(folder.region, "-s", "2026-11-01", "-e", "2026-11-02", "--parallel", 3,
                 endpoint=folder.endpoint, to=gate.address)
        assert gate.most_open == 3
        assert_once(daemon, everything(objects))


def test_large_object(start, backfill, folder):
    """One that is cut into several payloads, each with the header line; in a format of its own."""
    names = "bytes dstaddr srcaddr start packets".split()
    rng_lines = payloads.noisy_records(150000, seed=3)
    lines = [" ".join((lambda v: [v["bytes"], v["dstaddr"], v["srcaddr"], str(NOVEMBER + n % 7200),
                                  v["packets"]])(payloads.values_of(line)))
             for n, line in enumerate(rng_lines)]
    folder.add(NOVEMBER + 300, payloads.zipped(payloads.with_header(lines, names), level=1))
    folder.store()
    with start() as daemon:
        done = backfill(folder.region, "-s", NOVEMBER, "-e", NOVEMBER + HOUR,
                        endpoint=folder.endpoint, to=daemon.address)
        assert done.total("payloads") >= 1
        wanted = [payloads.ftsq(line, names) for line in lines
                  if int(line.split()[3]) < NOVEMBER + HOUR]
        assert sorted(daemon.lines()) == sorted(wanted)


def test_dry_run(start, backfill, folder):
    objects = small(folder, 3)
    window = "-s", "2026-11-01", "-e", "2026-11-02"
    with start() as daemon:
        how = {"endpoint": folder.endpoint, "to": daemon.address}
        told = backfill(folder.region, *window, "--dry-run", **how)
        assert "3 objects" in told.err and "from 2026-11-01 00:00:00Z to 2026-11-02 00:00:00Z" in told.err
        commands = told.out.splitlines()
        assert len(commands) == 3 and not told.state() and not folder.fetched()
        assert os.listdir(told.folder).count("state.lock") == 0
        # What it prints can be run.
        octets = subprocess.run(["bash", "-c", commands[1]], env=environment(), check=True,
                                stdout=subprocess.PIPE, timeout=30).stdout
        assert octets == object_of(list(objects.values())[1])
        assert daemon.lines() == []


def test_no_such_place(backfill, folder):
    nothing = backfill(folder.source, "-s", "2026-11-01", "-e", "2026-11-02", status=1,
                       endpoint=folder.endpoint)
    assert f"no {folder.source}/AWSLogs/ with flow logs" in nothing.err
    bucket = backfill("s3://no-such-bucket", "-s", "1h", status=1, endpoint=folder.endpoint)
    assert "NoSuchBucket" in bucket.err
