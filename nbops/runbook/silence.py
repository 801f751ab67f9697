"""`# noqa`: how an author tells `nbops lint` that a finding is meant.

The comment stands on any line of the task that it is about: `# noqa: RULE, RULE` silences
these rules there, `# noqa` alone all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nbops.base.errors import Place
from nbops.base.yamlpos import nearest

_COMMENT = re.compile(r"(?:^|\s)#\s*noqa\b(?P<rules>:[^#\n]*)?", re.IGNORECASE)
_WORD = re.compile(r"[\w-]+")


class Silencer:
    """Reads the comments of the runbook's files, each file once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def covers(self, rule: str, task: Place | None, place: Place | None) -> bool:
        """Whether a comment in the task, or on the finding's own line, silences this rule."""
        if task is None:
            return False
        lines = self._of(task.file)
        own = [place.line] if place is not None and place.file == task.file else []
        numbers = [*_extent(lines, task), *own]
        return any(_silences(lines[number - 1], rule) for number in numbers)

    def misspelt(
        self, files: Sequence[Path], rules: Mapping[str, str]
    ) -> Iterator[tuple[Place, str, str]]:
        """Rules in comments that are like one of ours and none of them: where, what, which."""
        for path in files:
            for number, line in enumerate(self._of(str(path)), 1):
                found = _COMMENT.search(line)
                for word in _WORD.findall((found and found["rules"]) or ""):
                    like = nearest(word, rules)
                    if found and like and word not in rules:
                        yield Place(str(path), number, found.start() + 1), word, like

    def _of(self, file: str) -> list[str]:
        if file not in self._lines:
            text = Path(file).read_text(encoding="utf-8", errors="replace")
            self._lines[file] = text.splitlines()
        return self._lines[file]


def _extent(lines: Sequence[str], task: Place) -> Iterator[int]:
    """The numbers of the task's lines: the first, and those indented at least as its keys."""
    if not 0 < task.line <= len(lines):
        return
    yield task.line
    for number in range(task.line + 1, len(lines) + 1):
        line = lines[number - 1]
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent < task.column - 1:
            return
        yield number


def _silences(line: str, rule: str) -> bool:
    found = _COMMENT.search(line)
    if not found:
        return False
    rules = _WORD.findall(found["rules"] or "")
    return not rules or rule in rules
