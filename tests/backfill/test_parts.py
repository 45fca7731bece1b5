# SPDX-License-Identifier: Apache-2.0
"""Times, intervals and the cutting of files by time: rows through the functions themselves."""
import json
import os
import random
import re
import subprocess

import pytest

from standins import NOVEMBER, PARTS, environment

# Wednesday, 2026-11-11 10:20:30 UTC.
NOW = NOVEMBER + 10 * 86400 + 10 * 3600 + 20 * 60 + 30

# What is typed, and seconds since 1970; None for what must be refused.
TIMES = [
    ("now", NOW),
    (" Now ", NOW),
    ("2026-11-01 00:00:00", NOVEMBER),
    ("2026-11-01 00:00", NOVEMBER),
    ("2026-11-01", NOVEMBER),
    ("2026/11/01", NOVEMBER),
    ("2026-11-1", NOVEMBER),
    ("2026-11-01T00:00:00", NOVEMBER),
    ("2026-11-01T00:00:00Z", NOVEMBER),
    ("2026-11-01t00:00:00z", NOVEMBER),
    ("2026-11-01T00:00:00.250Z", NOVEMBER + 0.25),
    ("2026-11-01 00:00:00 UTC", NOVEMBER),
    ("2026-11-01 01:00:00+01:00", NOVEMBER),
    ("2026-11-01T01:00:00+0100", NOVEMBER),
    ("2026-11-01 01:00 +01", NOVEMBER),
    ("2026-10-31T19:00:00-05:00", NOVEMBER),
    ("2026-10-31 24:00", NOVEMBER),
    ("2024-02-29", 1709164800),
    ("today", NOVEMBER + 10 * 86400),
    ("today 14:30", NOVEMBER + 10 * 86400 + 52200),
    ("yesterday", NOVEMBER + 9 * 86400),
    ("Yesterday at 08:00:01", NOVEMBER + 9 * 86400 + 28801),
    ("3 hours ago", NOW - 10800),
    ("1 hour ago", NOW - 3600),
    ("an hour ago", NOW - 3600),
    ("90 minutes ago", NOW - 5400),
    ("1.5 hours ago", NOW - 5400),
    ("2 days ago", NOW - 172800),
    ("1 week ago", NOW - 604800),
    ("30 sec ago", NOW - 30),
    ("90m", NOW - 5400),
    ("3h", NOW - 10800),
    ("7d", NOW - 604800),
    (str(NOVEMBER), NOVEMBER),
    (f"@{NOVEMBER}", NOVEMBER),
    (f"{NOVEMBER}.5", NOVEMBER + 0.5),
    (f"{NOVEMBER}123", NOVEMBER + 0.123),
    ("", None),
    ("then", None),
    ("2026", None),
    ("2026-13-01", None),
    ("2026-02-29", None),
    ("2026-11-31", None),
    ("2026-11-01 25:00", None),
    ("2026-11-01 24:01", None),
    ("2026-11-01 12:60", None),
    ("2026-11-01 00:00 +25:00", None),
    ("2026-11-01 00:00 CETT", None),
    ("3 fortnights ago", None),
    ("hours ago", None),
    ("in 3 hours", None),
    ("01.11.2026", None),
    ("11/01/2026", None),
    ("2026-11-01; rm -rf /", None),
]


def node(script, given):
    """What a module's script prints as JSON; `given` is its variable of that name."""
    head = f"const given = {json.dumps(given)};\n"
    done = subprocess.run(["node", "--input-type=module"], input=head + script, cwd=PARTS, timeout=30,
                          stdout=subprocess.PIPE, check=True, encoding="utf-8",
                          # Somewhere else than UTC, where local time would be noticed.
                          env=environment(TZ="America/New_York"))
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def parsed():
    return node("""
        import { parseTime } from "./times.mjs";
        const one = (text) => {
            try { return parseTime(text, given.now); } catch (e) { return `${e.name}: ${e.message}`; }
        };
        console.log(JSON.stringify(Object.fromEntries(given.texts.map((text) => [text, one(text)]))));
    """, {"now": NOW * 1000, "texts": [text for text, _ in TIMES]})


@pytest.mark.parametrize("text,seconds", TIMES)
def test_time(parsed, text, seconds):
    got = parsed[text]
    if seconds is None:
        assert str(got).startswith("RangeError: not a time"), got
        assert "'3 hours ago'" in got
    else:
        assert got == seconds * 1000


def test_duration():
    rows = {"90s": 90, "10m": 600, "10 minutes": 600, "1 hour": 3600, "2h": 7200, "1d": 86400,
            "0m": None, "ten": None, "3 hours ago": None, "": None}
    got = node("""
        import { parseDuration } from "./times.mjs";
        const one = (text) => { try { return parseDuration(text) / 1000; } catch { return null; } };
        console.log(JSON.stringify(given.map(one)));
    """, list(rows))
    assert got == list(rows.values())


def test_intervals_are_sets():
    """add() and missing() against sets of whole numbers."""
    rng = random.Random(7)
    cases = []
    for _ in range(300):
        pairs = [sorted(rng.sample(range(30), 2)) for _ in range(rng.randrange(6))]
        cases.append({"add": pairs, "of": sorted(rng.sample(range(30), 2))})
    got = node("""
        import { add, holds, missing } from "./intervals.mjs";
        const one = (row) => {
            const list = row.add.reduce(add, []);
            const held = [...Array(30).keys()].filter((n) => holds(list, n));
            return { list, held, missing: missing(list, row.of) };
        };
        console.log(JSON.stringify(given.map(one)));
    """, cases)
    for case, answer in zip(cases, got):
        members = {n for a, b in case["add"] for n in range(a, b)}
        assert set(answer["held"]) == members
        # In order, and joined where they touch.
        assert all(a[1] < b[0] for a, b in zip(answer["list"], answer["list"][1:]))
        left = {n for a, b in answer["missing"] for n in range(a, b)}
        assert left == set(range(*case["of"])) - members


CLIP = """
    import { clip } from "./clip.mjs";
    const octets = Buffer.from(given.text, "latin1");
    const cut = async function* (size) {
        for (let at = 0; at < octets.length; at += size) yield octets.subarray(at, at + size);
    };
    const one = async (size) => {
        const seen = { first: Infinity, last: -Infinity };
        const parts = [];
        try {
            for await (const part of clip(cut(size), given.intervals, given.other, seen)) parts.push(part);
        } catch (error) { return error.message; }
        return [Buffer.concat(parts).toString("latin1"), seen.first, seen.last];
    };
    const answers = await Promise.all(given.sizes.map(one));
    console.log(JSON.stringify([...new Set(answers.map((answer) => JSON.stringify(answer)))]));
"""


def clip(text, intervals, other=0):
    """What is left, and the first and last time, whatever the pieces it comes in."""
    sizes = [*range(1, 40), max(1, len(text) // 2), len(text) or 1]
    answers = node(CLIP, {"text": text, "intervals": intervals, "other": other, "sizes": sizes})
    assert len(answers) == 1, answers
    return json.loads(answers[0])


H = "version start srcaddr\n"
HEAD_ROWS = {
    "some": (H + "2 99 a\n2 100 b\n2 199 c\n2 200 d\n", [[100000, 200000]],
             [H + "2 100 b\n2 199 c\n", 99000, 200000]),
    "all": (H + "2 100 b\n2 101 c\n", [[0, 200000]], [H + "2 100 b\n2 101 c\n", 100000, 101000]),
    "none, and then no header either": (H + "2 1 b\n", [[5000, 6000]], ["", 1000, 1000]),
    "nothing but a header": (H, [[0, 1]], ["", None, None]),
    "two gaps": (H + "2 1 a\n2 3 b\n2 5 c\n", [[0, 2000], [4000, 6000]],
                 [H + "2 1 a\n2 5 c\n", 1000, 5000]),
    "milliseconds": (H + "2 1793491200123 a\n", [[1793491200123, 1793491200124]],
                     [H + "2 1793491200123 a\n", 1793491200123, 1793491200123]),
    "runs of spaces, CR LF, no last line end": (
        H + "2  100   a\r\n2 300 b\r\n 2 150 c", [[100000, 200000]],
        [H + "2  100   a\r\n 2 150 c\n", 100000, 300000]),
    "the end where there is no start": ("end bytes\n5 1\n9 2\n", [[0, 6000]],
                                        ["end bytes\n5 1\n", 5000, 9000]),
    "no time in it: the file's": ("srcaddr bytes\n1.1.1.1 1\n", [[0, 1]],
                                  ["srcaddr bytes\n1.1.1.1 1\n", 0, 0]),
    "a record without a time, or cut: the file's": (H + "2 - a\n2\n\n2 x b\n2 9 c\n", [[0, 1]],
                                                    [H + "2 - a\n2\n\n2 x b\n", 0, 9000]),
    "no header": ("2 1 a\n", [[0, 1]], "no header line, so no flow log file"),
    "empty": ("", [[0, 1]], ["", None, None]),
}


@pytest.mark.parametrize("row", HEAD_ROWS)
def test_clip(row):
    text, intervals, wanted = HEAD_ROWS[row]
    assert clip(text, intervals) == wanted


def test_progress():
    """A line drawn over itself on a terminal, and messages that it does not spoil."""
    drawn = node("""
        import { Progress } from "./progress.mjs";
        let text = "";
        const out = { isTTY: true, columns: 0, write: (more) => { text += more; } };
        const progress = new Progress({ out });
        progress.start("objects", [{ weight: 1e6 }, { weight: 3e6 }]);
        Object.assign(progress.counts, { units: 1, flows: 1234567, octets: 2500000, duplicates: 2 });
        progress.done = 1e6;
        // Its own timer keeps no process alive.
        await new Promise((resolve) => setTimeout(resolve, 1500));
        progress.say("a message");
        progress.stop();
        console.log(JSON.stringify(text));
    """, None)
    line, message = drawn.split("\r\x1b[K")
    assert message == "backfill: a message\n"
    assert re.fullmatch(r"\r1/2 objects  1,234,567 flows  2\.5 MB \(\S+ [kM]B/s\)  2 duplicates  "
                        r"ETA 0:00:0[2-9]\x1b\[K", line), line


# A slice of a log group that ends when --late of it is over while it is being fetched. The clock is the
# test's, and a fetch takes as long as it says.
SETTLING = """
    import { LogsSource } from "./logs.mjs";
    let clock = given.begin;
    Date.now = () => clock;
    const pages = [{ events: [], nextToken: "more" }, { events: [] }];
    const aws = { json: async (args) => {
        if (args[1] === "describe-log-streams") return {};
        clock += given.fetch;
        return pages.shift();
    } };
    const rows = [];
    const state = { logsDone: () => ({ done: [], open: [] }), append: async (row) => { rows.push(row); } };
    const source = new LogsSource(aws, { group: "g", streams: [], late: given.late }, [0, given.end]);
    const { units } = await source.plan(state);
    await source.send(units[0], { put: () => { throw new Error("nothing to send"); }, state, events() {}, say() {} });
    console.log(JSON.stringify(rows.map(({ to, token }) => [to, token ?? null])));
"""


@pytest.mark.parametrize("begin, rows", [
    # Settled before the first fetch: done, and so is the first page.
    (160000, [[100000, "more"], [100000, None]]),
    # Settled while it was fetched, after AWS may have looked: only that which had settled at the beginning.
    (140000, [[80000, None]]),
    (60000, []),
])
def test_only_what_had_settled_before_the_fetch_is_done(begin, rows):
    assert node(SETTLING, {"begin": begin, "fetch": 20000, "late": 60000, "end": 100000}) == rows


# A slice begun by another run, page by page: what is asked for, and what is written down. The listener
# rejects what is in given.bad, and AWS has forgotten the pages of given.forgotten, until it gives them anew.
SLICE = """
    import { Rejected } from "../../lambda/sender.mjs";
    import { AwsError } from "./aws.mjs";
    import { LogsSource } from "./logs.mjs";
    import { gunzipSync } from "node:zlib";
    const asked = [];
    const aws = { json: async (args) => {
        if (args[1] === "describe-log-streams") return {};
        const token = args.find((word) => word.startsWith("--next-token="))?.slice(13) ?? "";
        asked.push(token);
        if (given.forgotten.includes(token) && asked.indexOf(token) === asked.length - 1)
            throw new AwsError("An error occurred (InvalidParameterException) when calling x: no such token");
        const next = { "": "b", b: "c", c: "d" }[token];
        return { events: [{ eventId: "1", timestamp: 1, logStreamName: "s", message: token }], nextToken: next };
    } };
    const rows = [];
    const said = [];
    const open = [{ from: 0, to: 1000, ...given.begun }];
    const state = { logsDone: () => ({ done: [], open }), append: async (row) => { rows.push(row); } };
    const put = async (octets) => {
        if (given.bad.includes(JSON.parse(gunzipSync(octets)).logEvents[0].message)) throw new Rejected("bad");
    };
    const source = new LogsSource(aws, { group: "g", streams: [], late: 0 }, [0, 1000]);
    const { units } = await source.plan(state);
    const failed = await source.send(units[0], { put, state, events() {}, say: (line) => said.push(line) })
        .then(() => null, (error) => error.message);
    const kept = rows.map(({ token = null, rejected = null }) => [token, rejected]);
    console.log(JSON.stringify({ asked, rows: kept, failed, said }));
"""
BAD = "rejected by the listener: bad"


@pytest.mark.parametrize("begun, bad, forgotten, asked, rows", [
    # Pages that were rejected before come first, and then those that were not reached.
    ({"token": "c", "rejected": [""]}, [], [], ["", "c", "d"], [["d", None], [None, None]]),
    ({"token": "c", "rejected": ["", "b"]}, ["", "d"], [], ["", "b", "c", "d"], [["d", [""]], [None, ["", "d"]]]),
    # All were sent but one.
    ({"rejected": ["b"]}, [], [], ["b"], [[None, None]]),
    ({"rejected": ["b"]}, ["b"], [], ["b"], [[None, ["b"]]]),
    # Forgotten: all of it.
    ({"token": "c", "rejected": ["b"]}, [], ["c"], ["b", "c", "", "b", "c", "d"],
     [["b", None], ["c", None], ["d", None], [None, None]]),
    ({"rejected": ["d"]}, ["c"], ["d"], ["d", "", "b", "c", "d"],
     [["b", None], ["c", None], ["d", ["c"]], [None, ["c"]]]),
])
def test_slice_begun_before(begun, bad, forgotten, asked, rows):
    got = node(SLICE, {"begun": begun, "bad": bad, "forgotten": forgotten})
    assert got["asked"] == asked and got["rows"] == rows
    assert got["failed"] == (BAD if rows[-1][1] else None)
    assert ["has forgotten the page" in line for line in got["said"]] == [True] * len(forgotten)


STATE = """
    import { State } from "./state.mjs";
    import { writeFile } from "node:fs/promises";
    await writeFile(given.path, given.rows.map((row) => JSON.stringify(row) + "\\n").join(""));
    const state = await new State(given.path).read();
    console.log(JSON.stringify([state.logsDone("g"), state.unreadable]));
"""


def test_state_of_a_log_group(tmp_path):
    one, two = {"logs": "g", "from": 0, "to": 5}, {"logs": "g", "from": 5, "to": 9}

    def read(*rows):
        return node(STATE, {"path": str(tmp_path / "state"), "rows": rows})

    assert read({**one, "token": "a"}, {**one, "token": "b", "rejected": ["a"]}, two) == [
        {"done": [[5, 9]], "open": [{"from": 0, "to": 5, "token": "b", "rejected": ["a"]}]}, 0]
    assert read({**one, "rejected": ["", "a"]}) == [
        {"done": [], "open": [{"from": 0, "to": 5, "rejected": ["", "a"]}]}, 0]
    assert read({**one, "rejected": ["a"]}, one) == [{"done": [[0, 5]], "open": []}, 0]
    assert read({**one, "rejected": "a"}, {**one, "rejected": [1]}, {**one, "token": 1}) == [{"done": [], "open": []}, 3]


USAGE = {
    "no source": ([], "one source is needed"),
    "two sources": (["a", "b", "-s", "1h"], "one source is needed"),
    "no start": (["a"], "--start is needed"),
    "bad start": (["a", "-s", "soon"], "not a time that can be understood: 'soon'"),
    "start after end": (["a", "-s", "1h", "-e", "2h"], "not before the end"),
    "no such option": (["a", "-s", "1h", "--fliter", "x"], "--fliter"),
    "no bucket": (["s3://", "-s", "1h"], "not a bucket"),
    "filter for S3": (["s3://b", "-s", "1h", "--filter", "x"], "--filter is for log groups"),
    "regions for a group": (["g", "-s", "1h", "--regions", "x"], "--regions is for S3"),
    "parallel": (["g", "-s", "1h", "-p", "0"], "--parallel is from 1 to 64"),
    "port": (["g", "-s", "1h", "-t", "h:99999"], "no port from 1 to 65535"),
    "address": (["g", "-s", "1h", "-t", "a:b:c"], "not a listener"),
    "token file": (["g", "-s", "1h", "--token-file", "/nowhere"], "/nowhere"),
    "streams": (["g", "-s", "1h", "--stream", "a*", "--stream", "b"], "has to be the only one"),
    "patience": (["g", "-s", "1h", "--patience", "long"], "not a duration"),
}


def test_usage():
    """All rows in one process: each is a Usage error that says what is wrong."""
    got = node("""
        import { Usage, readOptions } from "./options.mjs";
        const one = (argv) => {
            try { readOptions(argv, {}); return "taken"; } catch (e) { return `${e instanceof Usage} ${e.message}`; }
        };
        console.log(JSON.stringify(given.map(one)));
    """, [argv for argv, _ in USAGE.values()])
    for (name, (_, words)), said in zip(USAGE.items(), got):
        assert said.startswith("true ") and words in said, (name, said)


@pytest.mark.parametrize("name, said, words", [
    ("node", "v18.19.0", "needs Node.js 20 or later; 'node' here is v18.19.0"),
    ("aws", "aws-cli/1.45.11 Python/3", "needs AWS CLI version 2; 'aws' here is aws-cli/1.45.11")])
def test_old_programs_are_refused(tmp_path, name, said, words):
    (tmp_path / name).write_text(f"#!/bin/sh\necho {said}\n")
    (tmp_path / name).chmod(0o755)
    env = environment()
    done = subprocess.run([PARTS[:-2], "g", "-s", "1h"], env={**env, "PATH": f"{tmp_path}:{env['PATH']}"},
                          stderr=subprocess.PIPE, check=False, timeout=30, encoding="utf-8")
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == f"backfill: {words}"


def test_mistakes_and_help(tmp_path):
    script = PARTS[:-2]
    bad = subprocess.run([script, "g", "-s", "soon"], stderr=subprocess.PIPE, check=False, timeout=30)
    assert bad.returncode == 2 and b"--help explains" in bad.stderr
    asked = subprocess.run([script, "--help"], stdout=subprocess.PIPE, check=True, timeout=30,
                           cwd=tmp_path)
    for word in b"s3://BUCKET", b"--dry-run", b"3 hours ago", b"--endpoint-url", b"Exit status":
        assert word in asked.stdout
    assert os.listdir(tmp_path) == []
