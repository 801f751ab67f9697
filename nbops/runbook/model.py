"""A runbook as it was written: plays, blocks and tasks, with places, nothing evaluated.

Keywords bear Ansible's names and mean what they mean in ansible-core 2.19. Values that may
be templates are kept as they were written (`Any`); the engine evaluates them for each host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbops.base.errors import Place
from nbops.base.retry import RetryPolicy


@dataclass(frozen=True, kw_only=True)
class Retry:
    """`retry:` as written; templates are allowed, `policy` evaluates."""

    values: Mapping[str, Any]
    place: Place | None = None


@dataclass(frozen=True, kw_only=True)
class LoopControl:
    """`loop_control:`."""

    loop_var: str = "item"
    index_var: str | None = None
    label: Any = None
    pause: Any = 0
    extended: bool = False
    extended_allitems: bool = True


@dataclass(frozen=True, kw_only=True)
class Common:
    """Keywords that plays, blocks and tasks share; inherited from the outside in.

    None means: not written here. `when` is a list of conditions that must all hold.
    `places` tells where the value of each keyword that is written here stands.
    """

    name: Any = None
    place: Place | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    environment: tuple[Any, ...] = ()
    tags: tuple[str, ...] = ()
    become: Any = None
    become_user: Any = None
    become_method: Any = None
    ignore_errors: Any = None
    ignore_unreachable: Any = None
    any_errors_fatal: Any = None
    check_mode: Any = None
    diff: Any = None
    no_log: Any = None
    run_once: Any = None
    timeout: Any = None
    phase: str | None = None
    places: Mapping[str, Place] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Task(Common):
    """One task: an action, its arguments as written, and how it is to run.

    `args` never holds a free-form text: the loader puts it under the action's `free_form`
    name. `args_template` is set instead when the whole argument mapping is one template.
    `path` is the task's place in the plan, stable between loads of the same files.
    `folder` is the folder of the file that the task stands in.
    """

    path: str
    action: str
    args: Mapping[str, Any] = field(default_factory=dict)
    args_template: Any = None
    folder: Path = Path()
    when: tuple[Any, ...] = ()
    loop: Any = None
    loop_control: LoopControl = field(default_factory=LoopControl)
    register: str | None = None
    until: tuple[Any, ...] = ()
    retries: Any = None
    delay: Any = None
    retry: Retry | None = None
    changed_when: tuple[Any, ...] | None = None
    failed_when: tuple[Any, ...] | None = None
    notify: tuple[Any, ...] = ()
    listen: tuple[str, ...] = ()
    delegate_to: Any = None
    delegate_facts: Any = None
    rollback: tuple[Node, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Block(Common):
    """`block`, `rescue`, `always`; `when` applies to each task within."""

    path: str
    when: tuple[Any, ...] = ()
    delegate_to: Any = None
    delegate_facts: Any = None
    notify: tuple[Any, ...] = ()
    block: tuple[Node, ...] = ()
    rescue: tuple[Node, ...] = ()
    always: tuple[Node, ...] = ()
    rollback: tuple[Node, ...] = ()
    rescue_unreachable: bool = False


Node = Task | Block


@dataclass(frozen=True, kw_only=True)
class Play(Common):
    """One play. `serial` is as written: a number, a percentage, or a list of them.

    `import_when` are the conditions of the import that brought it.
    """

    path: str
    hosts: Any
    folder: Path = Path()
    serial: Any = None
    max_fail_percentage: Any = None
    gather_facts: Any = None
    import_when: tuple[Any, ...] = ()
    vars_files: tuple[Any, ...] = ()
    order: str | None = None
    force_handlers: Any = None
    pre_tasks: tuple[Node, ...] = ()
    tasks: tuple[Node, ...] = ()
    post_tasks: tuple[Node, ...] = ()
    handlers: tuple[Node, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """All plays of a file, imports resolved. `files` are all files read, for the plan's hash."""

    file: Path
    plays: tuple[Play, ...]
    files: tuple[Path, ...] = ()


def retry_policy(values: Mapping[str, Any]) -> RetryPolicy:
    """A policy from evaluated `retry:` values (attempts, backoff, delay, max_delay, jitter,
    deadline; times in seconds).

    Raises ValueError or TypeError when a value does not fit.
    """
    backoff = str(values.get("backoff", "fixed"))
    if backoff not in {"fixed", "exponential"}:
        raise ValueError(f"backoff is `fixed` or `exponential`, not `{backoff}`")
    deadline = values.get("deadline")
    policy = RetryPolicy(
        attempts=int(values.get("attempts", 3)),
        backoff="exponential" if backoff == "exponential" else "fixed",
        delay=float(values.get("delay", 5)),
        max_delay=float(values.get("max_delay", 60)),
        jitter=float(values.get("jitter", 0)),
        deadline=None if deadline is None else float(deadline),
    )
    if policy.attempts < 1:
        raise ValueError("attempts counts the first try: 1 or more")
    return policy
