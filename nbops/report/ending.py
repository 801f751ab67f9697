"""The beginning and the end of a run in words: notes, marks, recap, last line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbops.base.clean import one_line
from nbops.base.errors import NbopsError, Problem
from nbops.base.events import MaintenanceMark, Note, Question, RunEnded, RunStarted
from nbops.report.lines import Line, Span, Tone, block, count, duration, line, names

COUNTS = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")
_COUNT_TONES = {
    "ok": Tone.GOOD,
    "changed": Tone.CHANGED,
    "unreachable": Tone.BAD,
    "failed": Tone.BAD,
    "rescued": Tone.WARNING,
    "ignored": Tone.WARNING,
}
ENDS = {
    0: "done",
    1: "failed",
    2: "refused",
    3: "failed and rolled back",
    4: "some hosts cannot be used",
    5: "locked by another run",
    6: "failed, and the way back failed too",
    130: "interrupted",
}


def opening(event: RunStarted) -> list[Line]:
    """What begins, and where."""
    where = f"{event.cluster}, " if event.cluster else ""
    hosts = count(len(event.hosts), "host")
    lines = [line(Span(event.command, Tone.STRONG), f": {where}{hosts}, run {event.run}")]
    if event.check:
        lines.append(line(Span("check: nothing will be changed", Tone.WARNING)))
    return lines


def question(event: Question) -> list[Line]:
    """What is asked, at the time when it is."""
    if event.answered:
        return []
    return block(event.text, indent="  ", tone=Tone.STRONG)


def note(event: Note) -> list[Line]:
    """A note, loud when it is a warning or an error."""
    tone = {"warning": Tone.WARNING, "error": Tone.BAD}.get(event.level, Tone.PLAIN)
    word = event.level.upper() if tone is not Tone.PLAIN else "note"
    where = f" ({event.host})" if event.host and event.host not in event.message else ""
    rows = block(event.message, indent="", tone=tone)
    first = line(Span(f"{word}: ", tone), *(rows[0].spans if rows else ()), where)
    hint = block(event.hint, indent="  ") if event.hint else []
    return [first, *rows[1:], *hint]


def mark(event: MaintenanceMark) -> Line:
    """The 503 page went up or came down."""
    what = "answers 503 from now on" if event.on else "serves again"
    return line(Span(f"{event.host} {what}", Tone.WARNING if event.on else Tone.GOOD))


def recap(event: RunEnded) -> list[Line]:
    """A line for every host, in Ansible's words and order."""
    width = max((len(one_line(host)) for host in event.recap), default=0)
    return [
        line(one_line(host).ljust(width), " : ", *_counts(event.recap[host]))
        for host in sorted(event.recap)
    ]


def short_recap(event: RunEnded) -> list[Line]:
    """The recap with hosts of the same counts on one line, the worst last."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for host in event.recap:
        key = tuple(event.recap[host].get(name, 0) for name in COUNTS)
        groups.setdefault(key, []).append(one_line(host))
    ordered = sorted(groups.items(), key=lambda group: (group[0][2] + group[0][3], group[1]))
    shown = []
    for counts, hosts in ordered:
        parts: list[str | Span] = [names(hosts, most=6), ":"]
        for name, number in zip(COUNTS, counts, strict=True):
            if number:
                parts += [" ", Span(f"{name}={number}", _COUNT_TONES.get(name, Tone.DIM))]
        shown.append(line("  ", *parts))
    return shown


def closing(event: RunEnded, *, command: str = "", check: bool = False) -> list[Line]:
    """How it ended, in one line. What ended a run that failed is an error, and whoever ran it
    shows that with its hints; the message of one that went well is shown here."""
    took = f" in {duration(event.seconds)}"
    subject = command or "run"
    if event.exit_code == 0:
        words = f"{subject}: done{took}, {_changes(event.recap, check)}"
        return [line(Span(words, Tone.GOOD)), *block(event.message, indent="  ")]
    end = ENDS.get(event.exit_code, f"ended with {event.exit_code}")
    hosts = _lost(event.recap)
    where = f" on {names(hosts)}" if hosts and event.exit_code in {1, 3, 6} else ""
    words = f"{subject}: {end}{where}, after {duration(event.seconds)} (exit {event.exit_code})"
    return [line(Span(words, Tone.BAD))]


def problems(error: NbopsError) -> list[Line]:
    """Every problem of an error, with its place and what to do about it."""
    return [part for problem in error.problems for part in problem_lines(problem)]


def problem_lines(problem: Problem) -> list[Line]:
    """One problem: `file:line:column: what is wrong`, and the hint under it."""
    place = f"{problem.place}: " if problem.place else ""
    rows = block(problem.message, indent="", tone=Tone.BAD)
    first = line(
        Span(place, Tone.STRONG), Span("error: ", Tone.BAD), *(rows[0].spans if rows else ())
    )
    hint = block(problem.hint, indent="      ") if problem.hint else []
    if hint:
        hint[0] = line("  hint: ", hint[0].text.strip())
    return [first, *(line("  ", *row.spans) for row in rows[1:]), *hint]


def _counts(counts: Mapping[str, int]) -> Iterable[str | Span]:
    for name in COUNTS:
        number = counts.get(name, 0)
        tone = _COUNT_TONES.get(name, Tone.DIM) if number else Tone.DIM
        yield Span(f"{name}={number}".ljust(len(name) + 5), tone)


def _changes(recap: Mapping[str, Mapping[str, int]], check: bool) -> str:
    total = sum(counts.get("changed", 0) for counts in recap.values())
    hosts = sum(1 for counts in recap.values() if counts.get("changed", 0))
    if not total:
        return "nothing would change" if check else "nothing changed"
    what = f"{count(total, 'change')} on {count(hosts, 'host')}"
    return f"{what} would be made" if check else what


def _lost(recap: Mapping[str, Mapping[str, int]]) -> list[str]:
    return sorted(
        one_line(host)
        for host, counts in recap.items()
        if counts.get("failed", 0) or counts.get("unreachable", 0)
    )
