# SPDX-License-Identifier: Apache-2.0
"""From a CloudWatch log group: what the listener wrote is what the group holds, of the window."""
import collections
import json
import os
import re
import shlex
import subprocess
import time

import harness
import payloads
import standins
from standins import ACCOUNT, NOVEMBER, Gate

HOUR = 3600
WINDOW = "-s", "2026-11-01 00:00:00", "-e", "2026-11-01 01:00:00"
SLICE = 300


def fill(logs, count, begin=NOVEMBER, end=NOVEMBER + HOUR, streams=1, **fields):
    """So many events at even distances, the first at begin; their messages."""
    step = (end - begin) / count
    return [logs.add(begin + n * step, payloads.record(**fields), f"eni-{n % streams:08x}-all")
            for n in range(count)]


def backwards(line):
    return " ".join(reversed(line.split()))


def assert_once(daemon, lines, **how):
    got = collections.Counter(daemon.lines())
    wanted = collections.Counter(payloads.ftsq_lines(lines, **how))
    assert got == wanted, f"{sum((wanted - got).values())} missing, {sum((got - wanted).values())} too many"


def test_window(start, backfill, logs, tmp_path):
    """Pages, empty ones as well, and throttling; rules by log group and account hold."""
    names = payloads.DEFAULT[::-1]
    rules = tmp_path / "config.json"
    rules.write_text(json.dumps({"sources": [
        {"log-group": "vpc-*", "account": ACCOUNT, "flow-format": " ".join("${%s}" % n for n in names)}]}))
    logs.page_size, logs.empty_pages = 60, 1
    inside = fill(logs, 200, end=NOVEMBER + 1200, streams=7)
    inside.append(logs.add(NOVEMBER + 1199.999, payloads.record()))
    logs.add(NOVEMBER + 2, payloads.NODATA)
    logs.add(NOVEMBER - 0.001, payloads.record())
    logs.add(NOVEMBER + 1200, payloads.record())
    logs.events = [event._replace(message=backwards(event.message)) for event in logs.events]
    inside = [backwards(line) for line in inside]
    window = "-s", NOVEMBER, "-e", NOVEMBER + 1200, "-p", 4
    logs.errors = [("FilterLogEvents", "ThrottlingException", "Rate exceeded")] * 3
    with start("--config", rules) as daemon:
        done = backfill(logs.group, *window, endpoint=logs.endpoint, to=daemon.address)
        assert done.total("events") == 202 and done.total("flows") == 201
        assert_once(daemon, inside, fields=names)
        assert not logs.errors

        # Again: no question but the one who the group belongs to.
        asked = len(logs.questions())
        again = backfill(logs.group, *window, endpoint=logs.endpoint, to=daemon.address)
        assert again.total("flows") == 0 and "0.33 h skipped" in again.err
        assert len(logs.questions()) == asked

        # A longer time: only what is new of it.
        backfill(logs.group, "-s", NOVEMBER - 300, "-e", NOVEMBER + 1500, endpoint=logs.endpoint,
                 to=daemon.address)
        assert_once(daemon, [e.message for e in logs.events], fields=names)


def test_throttled_for_long(start, backfill, logs):
    """More often than the aws command tries by itself."""
    lines = fill(logs, 5, end=NOVEMBER + SLICE)
    logs.errors = [("FilterLogEvents", "ThrottlingException", "Rate exceeded")]
    with start() as daemon:
        done = backfill(logs.group, "-s", NOVEMBER, "-e", NOVEMBER + SLICE, endpoint=logs.endpoint,
                        to=daemon.address, env={"AWS_MAX_ATTEMPTS": "1"})
        assert re.search(r"ThrottlingException.*; again in 1 s", done.err)
        assert_once(daemon, lines)


def test_chosen(start, backfill, logs):
    lines = fill(logs, 40, end=NOVEMBER + SLICE, streams=4)
    rejects = [logs.add(NOVEMBER + 1, payloads.record(action="REJECT")) for _ in range(5)]
    window = "-s", NOVEMBER, "-e", NOVEMBER + SLICE
    with start() as daemon:
        how = {"endpoint": logs.endpoint, "to": daemon.address}
        backfill(logs.group, *window, "--filter", "REJECT", **how)
        assert_once(daemon, rejects)
        # Each choice is a matter of its own: what one has sent the other has not.
        backfill(logs.group, *window, "--stream", "eni-00000001-all", "--stream", "eni-00000003-all", **how)
        assert_once(daemon, rejects + lines[1::2])
        backfill(logs.group, *window, "--stream", "eni-00000002*", **how)
        assert_once(daemon, rejects + lines[1::2] + lines[2::4])


def test_killed(start, begin, backfill, logs):
    """Killed between two pages, and again: goes on with the page that is next."""
    logs.page_size = 10
    lines = fill(logs, 50, end=NOVEMBER + SLICE)
    window = "-s", NOVEMBER, "-e", NOVEMBER + SLICE
    with start() as daemon:
        with Gate(daemon.address, lambda n: "pass" if n <= 3 else "WAIT") as gate:
            with begin(logs.group, *window, endpoint=logs.endpoint, to=gate.address) as first:
                harness.wait_for("three pages and a fourth", lambda: gate.count == 4)
                first.kill()
        assert [row["token"] for row in first.state()] == list(logs.tokens)[:3]
        backfill(logs.group, *window, endpoint=logs.endpoint, to=daemon.address)
        assert_once(daemon, lines)
        asked = [body.get("nextToken") for body in logs.questions()]
        assert len(asked) == 6 and asked.count(None) == 1 and asked[3] == asked[4]


def test_stale_page(start, begin, backfill, logs):
    """AWS no longer knows the page: the slice begins anew, and the listener knows what was sent."""
    logs.page_size = 10
    lines = fill(logs, 30, end=NOVEMBER + SLICE)
    window = "-s", NOVEMBER, "-e", NOVEMBER + SLICE
    with start() as daemon:
        with Gate(daemon.address, lambda n: "pass" if n == 1 else "WAIT") as gate:
            with begin(logs.group, *window, endpoint=logs.endpoint, to=gate.address) as first:
                harness.wait_for("a page and a second", lambda: gate.count == 2)
                first.kill()
        logs.tokens.clear()
        done = backfill(logs.group, *window, endpoint=logs.endpoint, to=daemon.address)
        assert "AWS has forgotten the page" in done.err and done.total("duplicates") == 1
        assert_once(daemon, lines)


def test_state_is_lost(start, backfill, logs):
    """The same pages again: the listener knows them. Other pages of the same events it cannot know."""
    logs.page_size = 10
    lines = fill(logs, 30, end=NOVEMBER + SLICE)
    window = "-s", NOVEMBER, "-e", NOVEMBER + SLICE
    with start() as daemon:
        how = {"endpoint": logs.endpoint, "to": daemon.address}
        backfill(logs.group, *window, **how)
        again = backfill(logs.group, *window, state="other", **how)
        assert again.total("duplicates") == again.total("payloads") == 3
        assert_once(daemon, lines)
        logs.page_size = 15
        backfill(logs.group, *window, state="third", **how)
        assert_once(daemon, lines * 2)


def test_rejected(start, backfill, logs):
    """One slice's records fit no format: it is named, the others go on, the next run begins with it."""
    good = fill(logs, 40, begin=NOVEMBER + SLICE, end=NOVEMBER + 3 * SLICE)
    wrong = [logs.add(NOVEMBER + n, f"10.0.0.{n} 10.0.1.1 {n}") for n in range(1, 9)]
    window = "-s", NOVEMBER, "-e", NOVEMBER + 3 * SLICE
    with start() as daemon:
        done = backfill(logs.group, *window, status=1, endpoint=logs.endpoint, to=daemon.address)
        assert f"FAILED {logs.group} from 2026-11-01T00:00:00.000Z to 2026-11-01T00:05:00.000Z: " \
            "rejected by the listener: nothing_converted" in done.err
        assert done.total("failed") == 1 and done.total("slices") == 2
        assert_once(daemon, good)
    names = "srcaddr dstaddr bytes".split()
    with start("--flow-format", " ".join("${%s}" % name for name in names)) as daemon:
        backfill(logs.group, *window, endpoint=logs.endpoint, to=daemon.address)
        assert_once(daemon, wrong, fields=names)


def test_rejected_page(start, backfill, logs):
    """The second and the last of five pages: the next run sends those two and no other."""
    logs.page_size = 10
    lines = [logs.add(NOVEMBER + n, f"10.0.0.{n} 10.0.1.1 {n}" if n // 10 in (1, 4) else payloads.record())
             for n in range(50)]
    wrong = lines[10:20] + lines[40:]
    window = "-s", NOVEMBER, "-e", NOVEMBER + SLICE
    with start() as daemon:
        first = backfill(logs.group, *window, status=1, endpoint=logs.endpoint, to=daemon.address)
        assert first.total("events") == 50 and first.total("flows") == 30
        told = backfill(logs.group, *window, "-n", endpoint=logs.endpoint, to=daemon.address)
        assert len(told.out.splitlines()) == 2
        assert_once(daemon, [line for line in lines if line not in wrong])
    names = "srcaddr dstaddr bytes".split()
    with start("--flow-format", " ".join("${%s}" % name for name in names)) as daemon:
        again = backfill(logs.group, *window, endpoint=logs.endpoint, to=daemon.address)
        assert again.total("events") == 20 and again.total("failed") == 0
        assert_once(daemon, wrong, fields=names)
    done, = [row for row in again.state() if "token" not in row and "rejected" not in row]
    assert (done["from"], done["to"]) == (NOVEMBER * 1000, (NOVEMBER + SLICE) * 1000)


def test_now(start, backfill, logs):
    """Events of the last hour are sent, but more may come: they are asked for again."""
    now = int(time.time())
    sent = [logs.add(now - 500, payloads.record()), logs.add(now - 60, payloads.record())]
    window = "-s", now - 600, "-e", "now", "--late", "7m"
    with start() as daemon:
        how = {"endpoint": logs.endpoint, "to": daemon.address}
        backfill(logs.group, *window, **how)
        assert_once(daemon, sent)
        late = logs.add(now - 200, payloads.record())
        backfill(logs.group, *window, **how)
        # What had settled was not fetched again. What had not comes twice rather than not at all; only
        # where its slice of time is the same as before the listener knows the payload.
        again = [sent[1]] if len(daemon.lines()) == 4 else []
        assert_once(daemon, [*sent, *again, late])


def test_dry_run(backfill, logs):
    fill(logs, 5)
    told = backfill(logs.group, *WINDOW, "--filter", "[..., action='REJECT', s]", "-n",
                    endpoint=logs.endpoint)
    first = shlex.split(told.out.splitlines()[0])
    assert first[:3] == ["aws", "logs", "filter-log-events"]
    assert "--filter-pattern=[..., action='REJECT', s]" in first
    assert f"--start-time={NOVEMBER * 1000}" in first
    assert len(told.out.splitlines()) == HOUR / SLICE
    assert not logs.questions() and not told.state()


def test_errors(backfill, logs):
    """Each ends it with AWS's own words; none is taken for an empty group."""
    logs.add(NOVEMBER, payloads.record())
    gone = backfill("no-such-group", *WINDOW, status=1, endpoint=logs.endpoint)
    assert "stopped: An error occurred (ResourceNotFoundException)" in gone.err
    logs.errors = [("FilterLogEvents", "ExpiredTokenException", "The security token is expired")] * 9
    expired = backfill(logs.group, *WINDOW, "-p", 1, status=1, endpoint=logs.endpoint)
    assert "stopped: An error occurred (ExpiredTokenException)" in expired.err
    assert "run the same again to continue" in expired.err
    logs.errors = [("FilterLogEvents", "AccessDeniedException", "not authorized")] * 9
    denied = backfill(logs.group, "-s", NOVEMBER, "-e", NOVEMBER + SLICE, status=1, endpoint=logs.endpoint)
    assert "(AccessDeniedException) when calling the FilterLogEvents" in denied.err
    assert not denied.state()


def test_as_it_is_installed(start, backfill, logs, tmp_path):
    """Without the sources around it."""
    release = os.path.join(os.path.dirname(standins.SCRIPT), "..", "build", "release")
    subprocess.run(["cmake", "--install", release, "--prefix", tmp_path / "prefix"], check=True, capture_output=True)
    lines = fill(logs, 20, end=NOVEMBER + SLICE)
    with start() as daemon:
        done = backfill(logs.group, "-s", NOVEMBER, "-e", NOVEMBER + SLICE, endpoint=logs.endpoint, to=daemon.address,
                        script=tmp_path / "prefix/share/vpcflowd/scripts/backfill")
        assert done.total("flows") == 20
        assert_once(daemon, lines)
