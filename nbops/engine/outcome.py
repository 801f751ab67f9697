"""What came of a task on a host, as `register` gives it and as the recap counts it.

Pure functions; the keys and their meaning are Ansible's.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbops.actions.api import Diff, Directive, Result
from nbops.base.events import Status
from nbops.base.secret import MASK, Secret
from nbops.runbook.model import Task

CENSORED = (
    "the output has been hidden due to the fact that 'no_log: true' was specified for this result"
)
HIDDEN_ITEM = "(hidden by no_log)"


@dataclass(frozen=True)
class Included:
    """Tasks to be run for a host: from which file, with which variables of the include."""

    file: str
    variables: Mapping[str, Any]


@dataclass
class TaskOutcome:
    """One task on one host, all items of its loop together.

    `ignored` failures count as ok;
    `registered` is what `register` gives; `facts` and `host_facts` are variables and facts
    that the action set, `delegated` and `delegated_facts` those of other hosts, by name.
    `hidden`: `no_log` keeps it out of every output.
    """

    host: str
    status: Status
    registered: dict[str, Any]
    changed: bool = False
    ignored: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    host_facts: dict[str, Any] = field(default_factory=dict)
    delegated: dict[str, dict[str, Any]] = field(default_factory=dict)
    delegated_facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    hidden: bool = False
    includes: list[Included] = field(default_factory=list)
    directives: list[Directive] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether the host is to leave the ordinary way."""
        return self.status is Status.FAILED

    def counts(self, *, rescued: bool = False) -> tuple[str, ...]:
        """The counts of the recap that this adds one to, as Ansible counts.

        A failure that a `rescue` takes counts as rescued; an include is counted where its file is
        read.
        """
        changed = ("changed",) if self.changed else ()
        if self.status is Status.FAILED and not self.ignored:
            return ("rescued",) if rescued else ("failed",)
        if self.status is Status.UNREACHABLE and not self.ignored:
            return ("rescued",) if rescued else ("unreachable",)
        if self.status is Status.SKIPPED:
            return ("skipped",)
        if self.ignored:
            return ("ok", "ignored", *changed)
        return () if self.includes else ("ok", *changed)


def registered(result: Result) -> dict[str, Any]:
    """An action's result under the keys that `register` gives."""
    data: dict[str, Any] = dict(result.values)
    data["changed"] = result.changed
    data["failed"] = result.failed
    if result.msg or "msg" in data:
        data["msg"] = result.msg or data["msg"]
    if result.skipped:
        data["skipped"] = True
    if result.facts:
        data.setdefault("ansible_facts", dict(result.facts))
    if result.warnings:
        data["warnings"] = list(result.warnings)
    return data


def failed_task(task: Task) -> dict[str, Any]:
    """What `ansible_failed_task` gives: the task as it was written."""
    kept = {
        "name": str(task.name or ""),
        "action": task.action,
        "args": dict(task.args),
        "tags": list(task.tags),
        "when": list(task.when),
        "loop": task.loop,
        "register": task.register,
        "delegate_to": task.delegate_to,
        "notify": list(task.notify),
        "vars": dict(task.vars),
    }
    return without_secrets(kept)  # type: ignore[no-any-return]


def failure(message: str, **further: Any) -> dict[str, Any]:
    """What `register` gives of a task that could not be done."""
    return {"changed": False, "failed": True, "msg": message, **further}


def skip(condition: Any) -> dict[str, Any]:
    """What `register` gives of a task whose condition was false."""
    return {
        "changed": False,
        "skipped": True,
        "skip_reason": "Conditional result was False",
        "false_condition": condition,
    }


def status_of(data: Mapping[str, Any]) -> Status:
    """The status that a registered result stands for."""
    if data.get("unreachable"):
        return Status.UNREACHABLE
    if data.get("failed"):
        return Status.FAILED
    if data.get("skipped"):
        return Status.SKIPPED
    return Status.CHANGED if data.get("changed") else Status.OK


def of_loop(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `register` gives of a loop, from the results of its items."""
    if not items:
        return {
            "changed": False,
            "skipped": True,
            "skipped_reason": "No items in the list",
            "results": [],
        }
    data: dict[str, Any] = {
        "results": list(items),
        "changed": any(item.get("changed") for item in items),
        "skipped": all(item.get("skipped") for item in items),
        "msg": "All items completed",
    }
    if data["skipped"]:
        data["msg"] = "All items skipped"
    if any(item.get("failed") for item in items):
        data |= {"failed": True, "msg": "One or more items failed"}
    if any(item.get("unreachable") for item in items):
        data["unreachable"] = True
    return data


def diff_text(diff: Diff | Sequence[Diff] | None) -> str:
    """A unified diff for people; empty when there is no difference."""
    if diff is None:
        return ""
    several = [diff] if isinstance(diff, Diff) else diff
    return "".join(_one_diff(one) for one in several)


def _one_diff(diff: Diff) -> str:
    lines = difflib.unified_diff(
        diff.before.splitlines(keepends=True),
        diff.after.splitlines(keepends=True),
        fromfile=diff.before_header,
        tofile=diff.after_header,
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def without_secrets(value: Any) -> Any:
    """Data with each `Secret` replaced by the mask, for what is shown or kept."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Mapping):
        return {str(key): without_secrets(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(item) for item in value]
    return value
