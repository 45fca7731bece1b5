# SPDX-License-Identifier: Apache-2.0
"""
The live page in a real browser, and the JSON behind it: numbers are those that were sent, whoever
sent them; foreign text stays text; and who looks is told when there is nobody to ask any more.
"""
import collections
import json
import os
import random

import pytest

import browser
import harness
import payloads
import watching

MARKUP = "/vpc/<img src=x onerror=\"document.title='taken'\">&amp;'"
LISTS = ("sources", "destinations", "refused_sources", "refused_ports", "interfaces", "log_groups")


class Truth:
    """What the lists should say."""

    def __init__(self):
        self.sums = {name: collections.Counter() for name in LISTS}
        self.flows = self.bytes = self.refused = 0

    def payload(self, group, rows):
        """Of (interface, source, destination, port, bytes, action)."""
        lines = []
        for interface, source, destination, port, octets, action in rows:
            lines.append(payloads.record(interface_id=interface, srcaddr=source, dstaddr=destination,
                                         dstport=port, bytes=octets, action=action))
            self.flows += 1
            self.bytes += octets
            self.sums["sources"][source] += octets
            self.sums["destinations"][destination] += octets
            self.sums["interfaces"][interface] += octets
            self.sums["log_groups"][group] += octets
            if action == "REJECT":
                self.refused += 1
                self.sums["refused_sources"][source] += 1
                self.sums["refused_ports"][f"{port}/tcp"] += 1
        return payloads.zipped(payloads.decoded(lines, group=group))


def few_keys(rng, count):
    """So few that every list has room for all of its keys."""
    return [(f"eni-{rng.randrange(6):017x}", f"10.0.0.{rng.randrange(1, 12)}",
             rng.choice(["10.1.0.1", "2001:db8::1", "10.1.0.2"]), rng.choice([22, 443, 3389]),
             rng.randrange(40, 100000), rng.choice(["ACCEPT", "ACCEPT", "REJECT"]))
            for _ in range(count)]


def many_keys(rng, count):
    """Far more than any list has room for, a few of them heavy."""
    def address():
        return f"10.{int(rng.paretovariate(0.7)) % 250}.{rng.randrange(40)}.{rng.randrange(9)}"
    return [(f"eni-{rng.randrange(3000):017x}", address(), address(), rng.randrange(3000),
             rng.randrange(40, 3000), rng.choice(["ACCEPT", "REJECT"])) for _ in range(count)]


def ask(daemon, path):
    status, headers, body = daemon.get(path)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    return json.loads(body)


def wait_shown(daemon, truth):
    """The lists of all time, once they have everything."""

    def shown():
        lists = ask(daemon, "/api/top/start")["lists"]
        return lists if lists["sources"]["total"] == truth.bytes else None

    return harness.wait_for("all bytes in the lists", shown)


def push(daemon, *batches):
    """Each by a connection of its own, so that workers share them."""
    for n, batch in enumerate(batches):
        assert daemon.ask(f"p{n}", batch).startswith("ACK")


# ---- the JSON ----------------------------------------------------------------------------------------


def test_lists_of_few_are_exact(tmp_path):
    rng = random.Random(1)
    truth = Truth()
    batches = [truth.payload(group, few_keys(rng, 300)) for group in ("/a", "/b", MARKUP, "/a")]
    with watching.Daemon(tmp_path, "--workers", "2") as daemon:
        push(daemon, *batches)
        lists = wait_shown(daemon, truth)
        for name in LISTS:
            found = {item["name"]: item["most"] for item in lists[name]["items"]}
            assert found == dict(truth.sums[name]), name
            assert all(item["least"] == item["most"] for item in lists[name]["items"])
            assert lists[name]["total"] == sum(truth.sums[name].values())
            assert lists[name]["unit"] == ("flows" if name.startswith("refused") else "bytes")
            assert lists[name]["others_most"] == 0
            assert list(found.values()) == sorted(found.values(), reverse=True)
        for window in ("minute", "quarter", "start"):
            answer = ask(daemon, f"/api/top/{window}")
            assert answer["window"] == window
            assert answer["lists"] == lists


def test_bounds_of_many(tmp_path):
    rng = random.Random(2)
    truth = Truth()
    batches = [truth.payload("/a", many_keys(rng, 5000)) for _ in range(4)]
    with watching.Daemon(tmp_path, "--workers", "2") as daemon:
        push(daemon, *batches)
        lists = wait_shown(daemon, truth)
        assert lists["sources"]["others_most"] > 0
        for name in LISTS:
            found = lists[name]
            for item in found["items"]:
                assert item["least"] <= truth.sums[name][item["name"]] <= item["most"]
            there = {item["name"] for item in found["items"]}
            least = min(item["most"] for item in found["items"])
            for key, total in truth.sums[name].items():
                assert key in there or total <= max(found["others_most"], least), (name, key)


def test_the_series_has_each_flow_once(tmp_path):
    rng = random.Random(3)
    truth = Truth()
    with watching.Daemon(tmp_path, "--workers", "2") as daemon:
        push(daemon, *[truth.payload("/a", few_keys(rng, 500)) for _ in range(3)])

        def shown():
            series = ask(daemon, "/api/series")
            return series if sum(series["flows"]) == truth.flows else None

        series = harness.wait_for("all flows in the series", shown)
        assert sum(series["bytes"]) == truth.bytes
        assert sum(series["refused"]) == truth.refused
        lengths = {len(series[name]) for name in ("flows", "bytes", "refused")}
        assert lengths == {series["seconds"]}


def test_the_summary_is_what_was_counted(tmp_path):
    out = os.path.join(tmp_path, "flows\".csv")
    with watching.Daemon(tmp_path, "-o", "ftsq", "-o", f"csv:{out}", "--spool",
                         os.path.join(tmp_path, "spool")) as daemon:
        bad = payloads.record(srcaddr="nowhere")
        push(daemon, payloads.decoded([*payloads.records(5), bad, payloads.NODATA]))
        daemon.wait_stats(events=7)
        counted = daemon.stats()
        summary = harness.wait_for("the summary", lambda: next(
            (s for s in [ask(daemon, "/api/summary")] if s["counters"]["events"] == 7), None))
        for name in ("events", "flows", "nodata", "skipdata", "rejected", "puts", "acks"):
            assert summary["counters"][name] == counted[name], name
        assert summary["rejected"] == {"address": 1}
        assert summary["payloads_rejected"] == {}
        assert summary["healthy"] and summary["reasons"] == []
        assert summary["workers"] == 1
        assert [o["format"] for o in summary["outputs"]] == ["ftsq", "csv"]
        assert [o["destination"] for o in summary["outputs"]] == ["-", out]
        assert [o["state"] for o in summary["outputs"]] == ["up", "up"]
        assert summary["spool"]["limit"] == 8 << 30 and not summary["spool"]["full"]


@pytest.mark.skipif(not harness.RELEASE, reason="VPCFLOWD_RELEASE is not set")
def test_nothing_is_watched_without_http(tmp_path):
    """The lists' five megabytes a worker say whether there are any."""
    peaks = []
    for kind in (harness.Daemon, watching.Daemon):
        with kind(tmp_path, "--workers", "2", binary=harness.RELEASE) as daemon:
            push(daemon, payloads.decoded(payloads.records(5)))
            peaks.append(daemon.peak_memory())
    assert peaks[1] - peaks[0] > 2 * 4 * harness.MIB, peaks


# ---- the page ----------------------------------------------------------------------------------------


def table(page, name):
    """Names and what stands beside them, exact."""
    return page.run("""return [...document.querySelectorAll(`#top-${arguments[0]} tbody tr`)]
        .map((row) => [row.name.title, row.value.title.replaceAll("\\u2009", "")])""", name)


def wait_page(page, what, script, *arguments):
    return harness.wait_for(what, lambda: page.run(script, *arguments))


def contrast(page, selector):
    """WCAG 2.1's ratio of an element's text to the ground that it is on."""
    return page.run("""
        const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
            .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const element = document.querySelector(arguments[0]);
        let ground = element;
        while ((numbers(getComputedStyle(ground).backgroundColor)[3] ?? 1) < 1) ground = ground.parentElement;
        const both = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor]
            .map((text) => light(numbers(text))).sort((a, b) => b - a);
        return (both[0] + 0.05) / (both[1] + 0.05);""", selector)


def check_numbers(page, truth):
    rows = dict(page.run("""return [...document.querySelectorAll("#records tr")]
        .map((row) => [row.cells[0].textContent, row.cells[1].textContent.replaceAll("\\u2009", "")])"""))
    assert rows["Flows"] == str(truth.flows)
    assert rows["Seen"] == str(truth.flows)
    for name in LISTS:
        expected = truth.sums[name].most_common(10)
        found = table(page, name)
        assert [int(value) for _, value in found] == [n for _, n in expected], name
        assert dict(found) == {key: str(truth.sums[name][key]) for key, _ in found}, name


def check_text_stays_text(page):
    assert MARKUP in [name for name, _ in table(page, "log_groups")]
    assert page.run("return document.images.length") == 0
    assert page.run("return document.title") == "vpcflowd"


def check_charts_move(page):
    lines = """return [...document.querySelectorAll(".chart .line")].map((line) => line.getAttribute("d"))"""
    before = page.run(lines)
    assert len(before) == 3
    after = harness.wait_for("charts that move", lambda: next(
        (now for now in [page.run(lines)] if all(a != b and a for a, b in zip(now, before))), None))
    assert all(line.startswith("M") for line in after)
    # Somewhere in the last minute there was traffic, so a line leaves the ground.
    assert all(any(float(point.split()[1]) < 99 for point in line[1:].split("L")) for line in after)


def check_looks(page, pictures):
    """pictures: where to put some; None for none."""
    grounds = set()
    for width, scheme in ((1200, "light"), (1200, "dark"), (800, "light"), (360, "light"), (360, "dark")):
        page.show(width, 900, scheme)
        assert page.run("return document.documentElement.scrollWidth") <= width
        grounds.add(page.run("return getComputedStyle(document.body).backgroundColor"))
        for selector in ("h2", ".about", ".note", "caption small", ".number", "#status", "a",
                         ".switch input:checked + span", ".switch span", ".scale", ".axis span",
                         ".state-word"):
            assert contrast(page, selector) >= 4.5, (scheme, selector)
        if pictures:
            page.picture(os.path.join(pictures, f"page-{width}-{scheme}.png"))
    assert len(grounds) == 2


def check_policy(page):
    """A script that is not the page's own does not run."""
    assert page.complaints() == []
    assert page.run("""const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        script.remove();
        return window.ran === undefined""")
    forbidden = page.complaints()
    assert len(forbidden) == 1 and "Content Security Policy" in forbidden[0]


@pytest.mark.skipif(not os.path.exists("/usr/bin/chromedriver"), reason="no chromium-driver")
def test_the_page(tmp_path, request):
    rng = random.Random(4)
    truth = Truth()
    batches = [truth.payload(group, few_keys(rng, 400)) for group in ("/a", MARKUP, "/b", MARKUP)]
    with browser.Browser(tmp_path) as page:
        with watching.Daemon(tmp_path, "--workers", "2", "-o", "csv") as daemon:
            page.show(1200, 900, "light")
            page.open("http://%s:%d/" % daemon.http)
            wait_page(page, "a live page",
                      "return document.querySelector('#status').textContent.trim() === 'Live'")
            push(daemon, *batches)
            page.run("document.querySelector('input[value=start]').click()")
            wait_page(page, "the lists since start", """return arguments[0] ===
                document.querySelector("#top-log_groups caption small").textContent &&
                document.querySelector("#lists").dataset.window === "start" """,
                      f"of {truth.bytes / 1e6:.1f} MB")
            wait_page(page, "all flows delivered", """return arguments[0] ===
                document.querySelector("#outputs .delivered").textContent""",
                      f"{truth.flows / 1000:.2f} k")
            check_numbers(page, truth)
            check_text_stays_text(page)
            check_charts_move(page)
            check_looks(page, request.config.getoption("--long") and tmp_path)
            check_policy(page)
        wait_page(page, "a page that says so",
                  "return document.querySelector('#status').className === 'status away'")
        assert "does not answer" in page.run("return document.querySelector('#status').textContent")
