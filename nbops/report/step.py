"""What came of a step, in lines: the one line of its result, and what a failure has to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nbops.base.clean import one_line
from nbops.base.events import Status, StepEnded
from nbops.report.jsonl import plain_data
from nbops.report.lines import Line, Span, Tone, block, duration, line

TONES = {
    Status.OK: Tone.GOOD,
    Status.CHANGED: Tone.CHANGED,
    Status.FAILED: Tone.BAD,
    Status.SKIPPED: Tone.DIM,
    Status.UNREACHABLE: Tone.BAD,
    Status.RESCUED: Tone.WARNING,
    Status.IGNORED: Tone.WARNING,
}
WIDTH = max(len(status) for status in Status)
OUTPUT_LINES = 40
_WORTH_TELLING = 1.0  # seconds; a shorter step does not say how long it took
_SPEAKS = {"debug", "ansible.builtin.debug"}
_BOOKKEEPING = {"changed", "failed", "skipped", "msg", "ansible_facts", "warnings"}


def is_bad(event: StepEnded) -> bool:
    """Whether the step failed, forgiven or not."""
    return event.status in {Status.FAILED, Status.UNREACHABLE, Status.IGNORED}


def is_item(event: StepEnded) -> bool:
    """Whether this is one item of a loop and not yet the whole task on that host."""
    return event.item is not None


def is_whole_loop(event: StepEnded) -> bool:
    """Whether this sums up items that have been told one by one."""
    return event.item is None and "results" in event.result


def label(event: StepEnded) -> str:
    """The host, with its delegate and the item of a loop: `node1 -> lb (item a)`."""
    where = f"{event.host} -> {event.delegate}" if event.delegate else event.host
    return one_line(f"{where} [{_short(event.item)}]" if is_item(event) else where)


def headline(event: StepEnded, *, indent: str = "  ") -> Line:
    """The step in one line: status, host, and what is worth knowing."""
    status = Span(f"{event.status:<{WIDTH}}", TONES[event.status])
    parts: list[str | Span] = [indent, status, "  ", label(event)]
    asides = []
    if event.attempt > 1:
        asides.append(f"attempt {event.attempt}")
    if event.seconds >= _WORTH_TELLING:
        asides.append(duration(event.seconds))
    if asides:
        parts.append(Span(f" ({', '.join(asides)})", Tone.DIM))
    message = one_line(event.message)
    if message and is_bad(event):
        parts.append(Span(f": {_cut(message, 300)}", TONES[event.status]))
    return line(*parts)


def details(event: StepEnded, verbosity: int = 0) -> list[Line]:
    """All that belongs under the headline: difference, message, output, as far as it is due."""
    shown = diff(event.diff)
    if is_bad(event):
        return shown + failure(event, verbosity)
    if event.action in _SPEAKS:
        return shown + spoken(event)
    if event.action == "exec":
        return _output(event.result, None)
    if verbosity and event.message and not is_item(event):
        shown += block(event.message, indent="      ", tone=Tone.DIM, most=OUTPUT_LINES)
    if verbosity > 1:
        shown += _output(event.result, None)
    return shown


def failure(event: StepEnded, verbosity: int = 0) -> list[Line]:
    """Why a step failed: the whole message, exit status, what it wrote."""
    result = event.result
    if is_whole_loop(event):
        return []
    shown: list[Line] = []
    message = event.message.strip()
    if "\n" in message or len(message) > 300:
        shown += block(message, indent="      ", tone=Tone.BAD)
    if "cmd" in result and (verbosity or is_bad(event)):
        shown.append(line("      command: ", one_line(str(result["cmd"]))))
    for key in ("assertion", "response"):
        if key in result:
            shown.append(line(f"      {key}: ", one_line(str(result[key]))))
    if result.get("rc") not in {None, 0}:
        shown.append(line(f"      exit status {result['rc']}"))
    return shown + _output(result, None if verbosity > 1 else OUTPUT_LINES)


def spoken(event: StepEnded) -> list[Line]:
    """What a task such as `debug` was written to say."""
    said = event.result.get("msg", event.message)
    if said or ("msg" in event.result and said != ""):
        return block(_written(said), indent="      ")
    rest = {key: value for key, value in event.result.items() if key not in _BOOKKEEPING}
    shown: list[Line] = []
    for key, value in rest.items():
        shown += block(f"{key}: {_written(value)}", indent="      ")
    return shown


def diff(text: str) -> list[Line]:
    """A unified diff, its lines toned."""
    if not text:
        return []
    shown = []
    for one in block(text, indent=""):
        first = one.text[:1]
        tone = {"+": Tone.ADDED, "-": Tone.REMOVED, "@": Tone.DIM}.get(first, Tone.PLAIN)
        shown.append(line("      ", Span(one.text, tone)))
    return shown


def _output(result: Mapping[str, Any], most: int | None) -> list[Line]:
    shown: list[Line] = []
    for name in ("stdout", "stderr", "module_stdout", "module_stderr"):
        text = result.get(name)
        if isinstance(text, str) and text.strip():
            shown.append(line(f"      {name}:"))
            shown += block(text, indent="        | ", most=most)
    return shown


def _written(value: Any) -> str:
    """A value as people read it: text as it is, a list of texts as lines, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    data = plain_data(value)
    short = json.dumps(data, ensure_ascii=False)
    return short if len(short) <= 90 else json.dumps(data, ensure_ascii=False, indent=2)


def _short(item: Any) -> str:
    if isinstance(item, str):
        return _cut(item, 60)
    return _cut(json.dumps(plain_data(item), ensure_ascii=False), 60)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
