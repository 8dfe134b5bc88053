"""The page's charts: speed-ups, the timeline of workers, the most complex functions.

Bars are HTML, for their labels must stay readable at any width; the timeline's areas are SVG that stretches. A
chart's words are real text around it, so it needs no other description. Pinned by tests/cli/test_report.py.
"""

import json
import math
from html import escape

from weft.cli.demo.findings import Findings, core_share
from weft.cli.demo.table import count, seconds
from weft.cli.demo.timeline import Lane, lanes

BINS = 320  # intervals across the timeline: three pixels each on a wide page
LANE_HEIGHT = 20
SHOWN_LANES = 16  # per contender; more would push everything else off the page


def speedup_bars(findings: Findings) -> str:
    """One bar per contender, with a line for the plain loop and one for workers that never wait."""
    speedups = {contender.name: findings.speedup(trial) for contender, trial in findings.trials}
    known = [speedup for speedup in speedups.values() if speedup is not None]
    # The value's label stands after the bar and needs some room of its own.
    scale = max([1.0, float(findings.workers), *known]) * 1.22
    one, ideal = 100 / scale, 100 * findings.workers / scale
    rows = [_scale_row(one, ideal, findings.workers)]
    for outcome in findings.outcomes:
        contender = outcome.contender
        summary = escape(contender.summary).replace(".", ".<wbr>")
        name = f'{escape(contender.name)} <small class="code">{summary}</small>'
        speedup = speedups.get(contender.name)
        if speedup is None:
            bar = '<span class="failed">did not finish</span>'
        else:
            bar = f'<span class="fill" style="width:{100 * speedup / scale:.2f}%"></span><b>{speedup:.2f}×</b>'
        rows.append(f'<li class="{contender.by}"><span class="name">{name}</span><span class="track">{bar}</span></li>')
    return (
        f'<ol class="bars" style="--one:{one:.2f}%;--ideal:{ideal:.2f}%">\n' + "\n".join(rows) + "\n</ol>\n"
        '<ul class="who"><li class="weft">weft</li><li class="stdlib">the standard library, for comparison</li>'
        '<li class="loop">no workers</li></ul>'
    )


def _scale_row(one: float, ideal: float, workers: int) -> str:
    labels = f'<span class="at" style="left:{one:.2f}%">1×</span>'
    if workers > 1:
        # At the right edge of the page the label ends at its line, elsewhere it is centred on it.
        place = "at end" if ideal > 70 else "at"
        labels += f'<span class="{place}" style="left:{ideal:.2f}%">{workers}×<span>, if nobody waited</span></span>'
    return f'<li class="scale" aria-hidden="true"><span class="name"></span><span class="track">{labels}</span></li>'


def timeline(findings: Findings) -> str:
    """For each contender its workers' lanes, all on one scale of time."""
    longest = _longest(findings)
    parts: list[str] = []
    number = 0
    for contender, trial in findings.trials:
        found = lanes(trial.spans, trial.origin)
        shown = found[:SHOWN_LANES]
        drawn = "\n".join(_lane(lane, number + index, longest) for index, lane in enumerate(shown))
        if len(found) > len(shown):
            drawn += f'<p class="more">and {count(len(found) - len(shown), "worker")} more</p>'
        number += len(shown)
        share = f"{core_share(trial):.0%} on a core"
        heading = f"{escape(contender.name)} <small>{seconds(trial.wall)}, {share}</small>"
        parts.append(f'<div class="run {contender.by}"><h3>{heading}</h3><div>{drawn}</div></div>')
    return "\n".join(parts) + f'\n<div class="clock" aria-hidden="true">{_clock(longest)}</div>'


def task_data(findings: Findings) -> str:
    """What `page.js` needs to name the task under the pointer, as JSON that is safe inside a script element."""
    shown = [lane for _, trial in findings.trials for lane in lanes(trial.spans, trial.origin)[:SHOWN_LANES]]
    data = {
        "length": round(_longest(findings) * 1000, 1),
        "files": [findings.tree.relative(path) for path in findings.tree.paths],
        "lanes": [
            [
                [round(span.start * 1000, 1), round((span.end - span.start) * 1000, 1), index]
                for index, span in lane.tasks
            ]
            for lane in shown
        ],
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def complexity_bars(findings: Findings) -> str:
    """The ten most complex functions with their complexity."""
    functions = findings.most_complex()
    if not functions:
        return '<p class="note">There is no function in this tree.</p>'
    highest = functions[0][1].complexity
    rows: list[str] = []
    for file, function in functions:
        where = f"{findings.tree.relative(file.path)}:{function.line}"
        rows.append(
            f'<li><span class="name"><code>{escape(function.name)}</code> <small>{escape(where)}</small></span>'
            f'<span class="meter"><span style="width:{86 * function.complexity / highest:.1f}%"></span>'
            f"{function.complexity}</span></li>"
        )
    return '<ol class="complex">\n' + "\n".join(rows) + "\n</ol>"


def _lane(lane: Lane, number: int, longest: float) -> str:
    shares = lane.shares(BINS, longest / BINS)
    busy = _area([share for share, _ in shares])
    core = _area([share for _, share in shares])
    label = f"{lane.name} of process {lane.process}: {count(len(lane.tasks), 'task')}"
    return (
        f'<div class="lane" data-lane="{number}"><svg viewBox="0 0 {BINS} {LANE_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(label)}">'
        f'<path class="busy" d="{busy}"/><path class="core" d="{core}"/></svg><i></i></div>'
    )


def _area(shares: list[float]) -> str:
    """A path of steps: a share of 1 is as high as the lane."""
    steps: list[str] = [f"M0 {LANE_HEIGHT}"]
    height = 0.0
    for index, share in enumerate(shares):
        if round(share, 2) != height:
            height = round(share, 2)
            steps.append(f"H{index}V{LANE_HEIGHT * (1 - height):g}")
    return "".join(steps) + f"H{len(shares)}V{LANE_HEIGHT}Z"


def _longest(findings: Findings) -> float:
    """The seconds that the timeline's scale must hold."""
    return max(trial.wall for _, trial in findings.trials)


def _clock(longest: float) -> str:
    """Four to eight ticks at round numbers of seconds."""
    magnitude = 10 ** math.floor(math.log10(longest / 4))
    step = next(m * magnitude for m in (1, 2, 5, 10) if longest / (m * magnitude) <= 8)
    ticks = [index * step for index in range(int(longest / step) + 1) if index * step <= longest * 0.985]
    return "".join(
        f'<span style="left:{100 * tick / longest:.2f}%">{f"{tick:.3f}".rstrip("0").rstrip(".")} s</span>'
        for tick in ticks
    )
