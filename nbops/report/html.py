"""A past run as one web page that needs nothing beside itself: no script, no network.

Whatever hosts wrote is data here: every value is cleaned of control sequences and escaped at
the one place where it enters the page (`_safe`), and the page forbids its reader's browser
everything but its own style.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nbops import __version__
from nbops.base.clean import clean
from nbops.base.events import Event, StepEnded
from nbops.journal.read import PastRun
from nbops.report import ending, step
from nbops.report.jsonl import plain_data
from nbops.report.lines import count, duration
from nbops.report.story import Story, ToldTask

LONGEST = 40_000  # letters of one output; of a longer one the end is shown
MOST = 8_000_000  # letters of output in the whole page: a browser has to open it
_FOLDER = Path(__file__).parent
_OUTPUTS = ("stderr", "stdout", "module_stderr", "module_stdout")
_ELSEWHERE = frozenset(
    {
        *_OUTPUTS,
        *(f"{name}_lines" for name in _OUTPUTS),
        *(
            "changed",
            "failed",
            "skipped",
            "msg",
            "ansible_facts",
            "warnings",
            "results",
            "censored",
        ),
        *("cmd", "rc", "attempts", "start", "end", "delta", "invocation", "diff"),
    }
)


@dataclass(frozen=True)
class Excerpt:
    """A text as far as it is shown, and what was left out before it."""

    name: str
    text: str
    left_out: str = ""


@dataclass(frozen=True)
class Row:
    """What came of a task on one host, or the same on several."""

    first: StepEnded
    hosts: tuple[str, ...]
    seconds: tuple[float, float]
    diff: Excerpt | None
    texts: tuple[Excerpt, ...]

    @property
    def took(self) -> str:
        """How long, from the quickest host to the slowest."""
        least, most = (duration(one) for one in self.seconds)
        return most if least == most else f"{least} to {most}"


def page(
    past: PastRun, events: Iterable[Event], *, not_undone: Sequence[tuple[str, str]] = ()
) -> str:
    """The page of a run from what the journal holds of it, as HTML.

    `not_undone` is what a run that turned back still has to undo, as `journal.read` gives it.
    """
    story = Story(events)
    template = _environment().get_template("page.html")
    return template.render(
        past=past,
        story=story,
        end=_end(past),
        tone=_tone(past),
        failure=None if past.exit_code == 0 else story.failure(past.message),
        not_undone=[(story.name_of(place), host) for place, host in not_undone],
        paper=_Paper(),
        style=Markup(_style()),  # noqa: S704  our own file
        policy=_policy(),
        version=__version__,
        counts=ending.COUNTS,
    )


class _Paper:
    """Lays out steps, and sees to it that no page grows beyond what a browser opens."""

    def __init__(self) -> None:
        self._left = MOST

    def rows(self, task: ToldTask) -> list[Row]:
        """A row for every host of a task; hosts of which the same is to be told share one."""
        groups: dict[str, list[StepEnded]] = {}
        in_items = {event.host for event in task.steps if step.is_item(event)}
        for event in task.steps:
            if not step.is_whole_loop(event) or event.host not in in_items:
                groups.setdefault(_sameness(event), []).append(event)
        return [self._row(group) for group in groups.values()]

    def texts(self, event: StepEnded) -> list[Excerpt]:
        """What a step wrote and gave, as far as it has not been told by its message."""
        result = event.result
        found = [
            self.cut(name, value)
            for name in _OUTPUTS
            if isinstance(value := result.get(name), str) and value.strip()
        ]
        rest = {name: value for name, value in result.items() if name not in _ELSEWHERE}
        if any(value not in (None, "", [], {}) for value in rest.values()):
            data = json.dumps(plain_data(rest), ensure_ascii=False, indent=2)
            found.append(self.cut("result", data))
        return found

    def cut(self, name: str, text: str) -> Excerpt:
        """The end of a text, as much as there is room for."""
        text = clean(text).rstrip("\n")
        shown = text[-min(LONGEST, self._left) :] if self._left else ""
        self._left -= len(shown)
        missing = len(text) - len(shown)
        return Excerpt(name, shown, f"{missing:,} letters before this" if missing else "")

    def _row(self, group: Sequence[StepEnded]) -> Row:
        first = group[0]
        seconds = [one.seconds for one in group]
        return Row(
            first=first,
            hosts=tuple(step.label(one) for one in group),
            seconds=(min(seconds), max(seconds)),
            diff=self.cut("difference", first.diff) if first.diff else None,
            texts=tuple(self.texts(first)),
        )


def _sameness(event: StepEnded) -> str:
    """What two steps of a task have in common when the same is to be told of both."""
    told = (event.status, event.message, event.diff, event.item, event.attempt, event.delegate)
    rest = {name: value for name, value in event.result.items() if name not in _TIMES}
    return json.dumps(plain_data([*told, rest]), sort_keys=True)


_TIMES = frozenset({"start", "end", "delta", "ansible_facts"})


def _end(past: PastRun) -> str:
    if past.exit_code is None:
        return "not ended"
    return ending.ENDS.get(past.exit_code, f"exit {past.exit_code}")


def _tone(past: PastRun) -> str:
    if past.exit_code in {None, 3, 130}:
        return "warning"
    return "bad" if past.exit_code else "good"


@cache
def _style() -> str:
    return (_FOLDER / "page.css").read_text("utf-8")


def _policy() -> str:
    """What the browser may do: show the style of this page, known by its digest."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "duration": duration,
        "count": count,
        "clock": lambda time: f"{_local(time):%H:%M:%S}",
        "moment": lambda time: f"{_local(time):%Y-%m-%d %H:%M:%S %Z}",
        "machine": lambda time: _local(time).isoformat(timespec="seconds"),
    }
    return environment


def _safe(value: Any) -> Any:
    """A value on its way into the page; what the template itself made stays as it is."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()
