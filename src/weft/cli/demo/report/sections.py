"""The page's words and tables. Pinned by tests/cli/test_report.py."""

from html import escape

from weft import Decision
from weft.cli.demo import findings as findings_module
from weft.cli.demo.contenders import Contender
from weft.cli.demo.findings import Findings
from weft.cli.demo.table import count, megabytes, seconds

SHOWN_PROBLEMS = 200


def title(findings: Findings) -> str:
    """For the browser's tab."""
    return escape(f"weft demo: {headline_text(findings)}")


def kicker(findings: Findings) -> str:
    """What this is, and on which Python."""
    machine = findings.machine
    day = f"{machine.measured_on.day} {machine.measured_on:%B %Y}"
    facts = f"Python {machine.python} ({machine.build}), {machine.cpus:g} CPUs, {day}"
    return f"<b>weft demo</b> · {escape(facts)}"


def headline_text(findings: Findings) -> str:
    """The run in one line, unescaped."""
    return findings_module.headline(findings)


def headline(findings: Findings) -> str:
    """The run in one line."""
    return escape(headline_text(findings))


def standfirst(findings: Findings) -> str:
    """What was done, for who reads nothing else."""
    ways = [contender for contender, _ in findings.trials if contender.by != "loop"]
    compared = f"then on {count(len(ways), 'kind')} of pool" if ways else "and on nothing else"
    return escape(
        f"One job in pure Python, done {count(len(findings.trials), 'time')}: parse and measure every file of "
        f"{findings.tree.title}, first in a plain loop, {compared}, each in a fresh process."
    )


def tree_title(findings: Findings) -> str:
    """What the tree is called in a sentence."""
    return escape(findings.tree.title)


def totals(findings: Findings) -> str:
    """The size of the job, and whether everybody computed the same."""
    equal = not findings.differences()
    facts = [
        ("files", f"{len(findings.results):,}", ""),
        ("lines of Python", f"{findings.line_count:,}", ""),
        ("functions", f"{findings.function_count:,}", ""),
        ("results compared", "all equal" if equal else "not equal", "good" if equal else "bad"),
    ]
    items = "".join(f'<div><dt>{name}</dt><dd class="{kind}">{value}</dd></div>' for name, value, kind in facts)
    return f'<dl class="totals">{items}</dl>'


def warning(findings: Findings) -> str:
    """What a reader must know before the numbers, if there is something."""
    text = findings_module.warning(findings)
    return f'<p class="warning">{escape(text)}</p>' if text else ""


def meaning(findings: Findings) -> str:
    """The sentences about the numbers, differences and failures first."""
    points = [
        f"{name} computed something else than serial: first at {findings.tree.relative(path)}."
        if path in findings.tree.paths
        else f"{name} computed something else than serial: {path}."
        for name, path in findings.differences()
    ]
    points += [f"{contender.name} failed: {failure.reason}." for contender, failure in findings.failures]
    points += findings_module.explain(findings)
    return "\n".join(f"<p>{escape(point)}</p>" for point in points)


def decisions(findings: Findings) -> str:
    """What `Run` took, and why."""
    found = findings.decisions()
    if not found:
        return ""
    cards = "\n".join(_decision(contender, decision) for contender, decision in found)
    return (
        '<section aria-labelledby="decisions"><h2 id="decisions">What auto took, and why</h2>\n'
        f'<div class="decisions">{cards}</div></section>'
    )


def _decision(contender: Contender, decision: Decision) -> str:
    evidence = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in decision.evidence.items()
    )
    reason, function = decision.reason, decision.evidence.get("function")
    if not (isinstance(function, str) and reason.startswith(function)):  # a name keeps its case
        reason = reason[:1].upper() + reason[1:]
    return (
        f'<article class="decision"><h3>{escape(contender.name)}: <code>{escape(contender.summary)}</code></h3>'
        f'<p class="took">{escape(decision.resolved)}</p><p>{escape(reason)}.</p>'
        f"<dl><dt>code</dt><dd>{escape(decision.code)}</dd>{evidence}</dl></article>"
    )


def table(findings: Findings) -> str:
    """All contenders with all their numbers."""
    rows: list[str] = []
    for contender, trial in findings.trials:
        speedup = findings.speedup(trial)
        cells = [
            seconds(trial.wall),
            seconds(trial.cpu),
            "–" if speedup is None else f"{speedup:.2f}×",
            f"{len(trial.results) / trial.wall:,.0f}",
            megabytes(trial.peak_memory),
        ]
        numbers = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr class="{contender.by}"><th scope="row">{escape(contender.name)}</th>{numbers}</tr>')
    names = ("", "wall", "CPU", "speed-up", "tasks/s", "peak memory")
    header = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{header}</tr></thead>\n'
        f"<tbody>{'\n'.join(rows)}</tbody></table></div>"
    )


def problems(findings: Findings) -> str:
    """The files that could not be measured, if there are any."""
    found = findings.problems()
    if not found:
        return ""
    items: list[str] = []
    for file in found[:SHOWN_PROBLEMS]:
        if file.problem is not None:
            line = "" if file.problem.line is None else f":{file.problem.line}"
            where = f"{findings.tree.relative(file.path)}{line}"
            items.append(f"<li><code>{escape(where)}</code> <span>{escape(file.problem.reason)}</span></li>")
    if len(found) > SHOWN_PROBLEMS:
        items.append(f"<li>and {len(found) - SHOWN_PROBLEMS:,} more</li>")
    heading = f"{count(len(found), 'file')} could not be measured"
    return (
        f'<section aria-labelledby="problems"><h2 id="problems">{heading}</h2>\n'
        f'<ul class="problems">{"".join(items)}</ul></section>'
    )


def facts(findings: Findings) -> str:
    """The method and the machine."""
    rows = [*findings.machine.facts(), ("Workers", str(findings.workers)), ("Source", megabytes(findings.size))]
    machine = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"""<div class="facts"><div>
<p>Each contender did the whole job once, in a process of its own that had imported everything before the clock
began; every file had been read once before, so that nobody waited for the disk. The time includes making the
pool and shutting it down. One task is one file.</p>
<p>CPU is user and system time of all processes. Peak memory is the sum of each process's highest resident size,
so pages that processes share count for each of them. All results were sent back and compared, file by file.</p>
</div><dl>{machine}</dl></div>"""
