# SPDX-License-Identifier: Apache-2.0
"""
The pipeline in memory, without a daemon: what each stage costs, with each output and each kind of
payload, beside what inflating the same payloads and nothing else does.
"""
import programs
from plan import (ALL, BEFORE, FORMATS, KINDS, MEMORY, STAGES, V2, WITH_ZLIB, ratios)


def stages(plan, figures):
    """Each stage, each output and each kind of payload, in memory."""
    got = programs.pipeline("isal", plan.sets.values(), plan.rounds, plan.sample_ms)
    fast, zlib_alone = got[V2, "inflate"], got[V2, "inflate-zlib"]
    for stage, name in STAGES.items():
        here = got[V2, stage]
        figures.add(MEMORY, name, ALL, "ns/event", here)
        if stage in BEFORE:
            own = [a - b for a, b in zip(here, got[V2, BEFORE[stage]])]
            figures.add(MEMORY, name, "itself", "ns/event", own)
        figures.add(MEMORY, name, "× ISA-L", "x", ratios(here, fast))
        figures.add(MEMORY, name, "× zlib", "x", ratios(here, zlib_alone))
    for each in plan.sets.values():
        inflating = got[each.name, "inflate"]
        figures.add(KINDS, each.title, "inflating", "ns/event", inflating)
        for name in ("ftsq", "csv", "json", "ipfix"):
            figures.add(KINDS, each.title, name, "ns/event", got[each.name, name])
        figures.add(KINDS, each.title, "ftsq × inflating", "x",
                    ratios(got[each.name, "ftsq"], inflating))
    for name, limit in FORMATS.items():
        if limit:
            figures.aim(f"gzip to {name} in memory, × inflating alone (ISA-L)", "x",
                        ratios(got[V2, name], fast), limit)
    figures.aim("100 events a payload, × 10,000, in memory", "x",
                ratios(got["v2-100", "ftsq"], got[V2, "ftsq"]), 1.5)
    figures.aim("unframed, × framed, in memory", "x",
                ratios(got[V2, "ftsq-unframed"], got[V2, "ftsq"]), 1.1)
    figures.aim("watched (--http), × not, in memory", "x",
                ratios(got[V2, "ftsq-watched"], got[V2, "ftsq"]), 1.1)


def zlib(plan, figures):
    """The same with the engine that is always there: -DVPCFLOWD_INFLATE=zlib."""
    got = programs.pipeline("zlib", [plan.sets[V2]], plan.rounds, plan.sample_ms,
                            ("inflate", *FORMATS))
    inflating = got[V2, "inflate"]
    figures.add(WITH_ZLIB, "inflating alone", ALL, "ns/event", inflating)
    for name in FORMATS:
        here = got[V2, name]
        figures.add(WITH_ZLIB, STAGES[name], ALL, "ns/event", here)
        figures.add(WITH_ZLIB, STAGES[name], "× inflating", "x", ratios(here, inflating))
    figures.aim("gzip to ftsq built with zlib, × inflating alone (zlib)", "x",
                ratios(got[V2, "ftsq"], inflating), 1.35)
