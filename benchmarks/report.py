"""What a run found: as text for people, as JSON for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.runner import Measurement
from benchmarks.table import peers_table, series_table


def as_text(facts: Mapping[str, object], measurements: Sequence[Measurement]) -> str:
    """The tables and the notes to their rows."""
    pairs = [found for found in measurements if not found.case.series]
    parts: list[str] = []
    if pairs:
        parts.append(peers_table(pairs))
    parts += [series_table(found) for found in measurements if found.case.series]
    notes = [f"* {found.case.work}: {found.case.note}" for found in measurements if found.case.note]
    if notes:
        parts.append("\n".join(notes))
    disturbed = sum(found.disturbed for found in measurements)
    if disturbed:
        taken = sum(len(values) for found in measurements for values in found.samples.values())
        parts.append(f"{disturbed} of {taken} samples were taken while other programs ran: read the ratios with care.")
    return "\n\n".join([heading(facts), *parts])


def heading(facts: Mapping[str, object]) -> str:
    """The machine and the interpreter, in two lines."""
    return (
        f"Python {facts['python']} ({facts['build']}), weft {facts['weft']}; {facts['system']}\n"
        f"{facts['processor']}, {facts['cpus']:g} CPUs; load over the last minute {_load(facts['load'])} at the start, "
        f"{_load(facts['load_at_end'])} at the end"
    )


def _load(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "unknown"


def as_json(facts: Mapping[str, object], measurements: Sequence[Measurement]) -> str:
    """Everything, with each sample."""
    rows = [
        {
            "name": found.case.name,
            "work": found.case.work,
            "unit": found.case.unit.value,
            "size": found.size,
            "samples": found.samples,
            "disturbed": found.disturbed,
            "figure": found.verdict.figure,
            "target": found.verdict.target,
            "met": found.verdict.met,
        }
        for found in measurements
    ]
    return json.dumps({"facts": dict(facts), "rows": rows}, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path, facts: Mapping[str, object], measurements: Sequence[Measurement]) -> Path:
    """Writes the JSON into `folder`; returns the file, which is named for the interpreter and the time."""
    folder.mkdir(parents=True, exist_ok=True)
    threading = "" if facts["gil"] else "t"
    file = folder / f"{facts['python']}{threading}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    file.write_text(as_json(facts, measurements), encoding="utf-8")
    return file
