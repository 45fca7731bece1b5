# SPDX-License-Identifier: Apache-2.0
"""
What was measured, and how it is shown: figures come in as samples, and go out as tables (plain or
Markdown), as CSV, and as the rows of what was aimed at with a verdict each. A figure is the median of
its samples; beside it stands how far from it the farthest of them was.
"""
import csv
import statistics

# What the clock decides says nothing when what was measured got less of its cores than this.
SHARE = 0.8
BUSY = (f"\"busy\": other work left it less than {100 * SHARE:.0f} % of its cores; measure again when "
        "there is none.")
# Decimals of a unit, for tables.
DECIMALS = {"ns/event": 0, "x": 2, "CPU s": 3, "flows/s": 0, "MiB": 1, "ms": 1, "ms/s": 1}


class Figure:
    """section, row and column: its place in the tables. samples: one a round, in their order."""

    def __init__(self, section, row, column, unit, samples):
        self.section, self.row, self.column, self.unit = section, row, column, unit
        self.samples = list(samples)
        assert self.samples, (section, row, column)

    @property
    def median(self):
        return statistics.median(self.samples)

    def text(self):
        return f"{self.median:,.{DECIMALS[self.unit]}f}"

    def spread(self):
        """In percent of the median."""
        if not self.median:
            return 0.0
        return 100 * max(abs(s - self.median) for s in self.samples) / abs(self.median)

    def cell(self):
        return f"{self.text()} ±{self.spread():.0f}%"


class Aim:
    """
    A figure that has a limit; least: it is one from below; shares: of its cores what was measured got,
    a list for each part of a figure that the clock decides.
    """

    def __init__(self, what, figure, limit, least=False, shares=()):
        self.what, self.figure, self.limit, self.least = what, figure, limit, least
        self.busy = any(statistics.median(share) < SHARE for share in shares)

    def verdict(self):
        if self.busy:
            return "busy"
        value = self.figure.median
        return "ok" if (value >= self.limit if self.least else value <= self.limit) else "over"

    def bound(self):
        unit = "MiB" if self.figure.unit == "MiB" else "×"
        return f"{'≥' if self.least else '≤'} {self.limit:g} {unit}"


class Figures:
    def __init__(self):
        self.all = []
        self.aims = []
        self.notes = {}

    def add(self, section, row, column, unit, samples):
        figure = Figure(section, row, column, unit, samples)
        self.all.append(figure)
        return figure

    def aim(self, what, unit, samples, limit, **how):
        figure = Figure("aimed at", what, "value", unit, samples)
        self.aims.append(Aim(what, figure, limit, **how))

    def note(self, section, text):
        """A line below the section's table."""
        self.notes.setdefault(section, []).append(text)

    def find(self, section, row, column):
        for figure in self.all:
            if (figure.section, figure.row, figure.column) == (section, row, column):
                return figure
        return None

    def sections(self):
        return list(dict.fromkeys(figure.section for figure in self.all))

    # ---- tables ----

    def table(self, section):
        """Lines of cells, the heading first."""
        mine = [figure for figure in self.all if figure.section == section]
        columns = list(dict.fromkeys((f.column, f.unit) for f in mine))
        rows = list(dict.fromkeys(f.row for f in mine))
        place = {(f.row, f.column): f.cell() for f in mine}
        heads = [name if unit in ("x", name) else f"{name}, {unit}" for name, unit in columns]
        return [[section, *heads]] + [
            [row] + [place.get((row, name), "") for name, _ in columns] for row in rows]

    def aims_table(self):
        return [["aimed at", "at most / at least", "measured", ""]] + [
            [a.what, a.bound(), a.figure.cell(), a.verdict()] for a in self.aims]

    def tables(self, only=()):
        if self.aims and (not only or "aimed at" in only):
            yield self.aims_table(), [BUSY] if any(a.busy for a in self.aims) else []
        for section in self.sections():
            if not only or section in only:
                yield self.table(section), self.notes.get(section, ())

    def text(self):
        return "\n".join(plain(table) + "".join(f"  {note}\n" for note in notes)
                         for table, notes in self.tables())

    def markdown(self, only=()):
        return "\n".join(marked(table) + "".join(f"\n{note}\n" for note in notes)
                         for table, notes in self.tables(only))

    def write_csv(self, path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["section", "row", "column", "unit", "median", "least", "most", "rounds",
                          "limit", "verdict"])
            for a in self.aims:
                out.writerow(cells(a.figure) + [a.bound(), a.verdict()])
            for figure in self.all:
                out.writerow(cells(figure) + ["", ""])


def cells(f):
    return [f.section, f.row, f.column, f.unit, f"{f.median:.6g}", f"{min(f.samples):.6g}",
            f"{max(f.samples):.6g}", len(f.samples)]


def plain(table):
    """Aligned: what it is to the left, figures to the right."""
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    lines = []
    for line in table:
        cell = [line[0].ljust(widths[0])]
        cell += [text.rjust(width) for text, width in zip(line[1:], widths[1:])]
        lines.append("  ".join(cell).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines) + "\n"


def marked(table):
    head, *rest = table
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rest]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
