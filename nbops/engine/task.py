"""One task on one host, with all items of its loop, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from nbops.actions.api import IncludeTasks
from nbops.base.errors import ActionFailed
from nbops.base.events import Note, Status
from nbops.engine import outcome as outcomes
from nbops.engine.call import Call, StepResult, task_name
from nbops.engine.item import FAILURES, Item, ignores, told
from nbops.engine.outcome import Included, TaskOutcome
from nbops.engine.scope import flag
from nbops.runbook.expr import Layer, Variables
from nbops.runbook.model import Task


def run_task(call: Call) -> TaskOutcome:
    """Do a task on a host, with all items of its loop; or recall what it gave.

    Raises what ends the whole run: Interrupted, RefusedError, FenceRefused, a journal that
    cannot be written, Aborted. All else becomes the outcome.
    """
    kept = call.recalled()
    if kept is None and call.passed_over:
        return TaskOutcome(call.host, Status.SKIPPED, {"changed": False, "skipped": True})
    if kept is None:
        call.try_anew()
        kept = _done(call)
        call.keep(kept)
    elif kept.status is Status.UNREACHABLE and call.open:
        _note_lost(call)
    return kept


def _done(call: Call) -> TaskOutcome:
    variables = _variables(call)
    started = time.monotonic()
    try:
        items = _items(call, variables)
    except FAILURES as error:
        ignored = ignores(call, variables, Status.FAILED)
        steps = [StepResult(outcomes.failure(told(error)), ignored=ignored)]
        return _finish(call, steps, variables, started, loop=False)
    if items is None:
        steps = [Item(call, variables).run()]
        return _finish(call, steps, variables, started, loop=False)
    return _finish(call, _each(call, variables, items), variables, started, loop=True)


def _variables(call: Call) -> Variables:
    variables = call.parts.store.of_task(call.host, call.scope, call.play)
    return variables.with_templar(call.templar)


def _note_lost(call: Call) -> None:
    """Of a task whose host was lost: which jobs have to be ended before anything else is done
    there, and before anything is undone."""
    variables = _variables(call)
    try:
        items = _items(call, variables)
        if items is None:
            Item(call, variables).note_lost()
        for index, item in enumerate(items or ()):
            layer = _loop_layer(call.task, items or (), index)
            Item(call, variables.with_layer(layer), index, item).note_lost()
    except FAILURES as error:
        message = f"where `{task_name(call.task)}` is still at work cannot be told: {told(error)}"
        call.parts.emit(Note(level="warning", message=message, host=call.host))


def _items(call: Call, variables: Variables) -> list[Any] | None:
    """The items of the loop; None when there is no loop, or none is needed to skip the task."""
    if call.task.loop is None:
        return None
    try:
        items = call.templar.render(call.task.loop, variables, call.task.place)
    except ActionFailed:
        if call.false_condition(variables) is not None:
            return None
        raise
    if not isinstance(items, list):
        raise ActionFailed(
            f"`loop` needs a list, not {type(items).__name__}",
            place=call.task.place,
            hint="`| dict2items` makes a list of a mapping",
        )
    return items


def _each(call: Call, variables: Variables, items: list[Any]) -> list[StepResult]:
    control = call.task.loop_control
    pause = float(call.templar.render(control.pause, variables) or 0)
    steps: list[StepResult] = []
    known: dict[str, Any] = {}
    for index, item in enumerate(items):
        if index and pause:
            call.parts.stop.sleep(pause)
        started = time.monotonic()
        so_far = Layer("this loop so far", dict(known), template=False)
        layered = variables.with_layer(so_far, _loop_layer(call.task, items, index))
        one = Item(call, layered, index, item)
        step = one.run()
        step.data |= {control.loop_var: item, "ansible_loop_var": control.loop_var}
        if control.index_var:
            step.data |= {control.index_var: index, "ansible_index_var": control.index_var}
        if control.extended:
            step.data["ansible_loop"] = layered["ansible_loop"]
        known |= _learnt(call.task, step)
        label = one.label(step)
        hidden = call.hides(layered)
        call.tell(step, time.monotonic() - started, index=index, item=label, hidden=hidden)
        steps.append(step)
    return steps


def _learnt(task: Task, step: StepResult) -> dict[str, Any]:
    """What an item leaves for those after it: its result, and the variables that it set."""
    found = {task.register: step.data} if task.register else {}
    if task.action == "setup":
        return found
    return found | dict(step.facts)


def _loop_layer(task: Task, items: Sequence[Any], index: int) -> Layer:
    control = task.loop_control
    values: dict[str, Any] = {control.loop_var: items[index], "ansible_loop_var": control.loop_var}
    if control.index_var:
        values |= {control.index_var: index, "ansible_index_var": control.index_var}
    if control.extended:
        last = len(items) - 1
        values["ansible_loop"] = {
            **({"allitems": list(items)} if control.extended_allitems else {}),
            "index": index + 1,
            "index0": index,
            "revindex": len(items) - index,
            "revindex0": last - index,
            "first": index == 0,
            "last": index == last,
            "length": len(items),
            **({"previtem": items[index - 1]} if index else {}),
            **({"nextitem": items[index + 1]} if index < last else {}),
        }
    return Layer("loop", values, template=False)


def _finish(
    call: Call, steps: list[StepResult], variables: Variables, started: float, *, loop: bool
) -> TaskOutcome:
    """Put the items together, tell it, and note it."""
    data = outcomes.of_loop([step.data for step in steps]) if loop else steps[0].data
    status = outcomes.status_of(data)
    outcome = TaskOutcome(
        host=call.host,
        status=status,
        registered=data,
        changed=bool(data.get("changed")),
        ignored=_ignored(steps, status),
        hidden=call.hides(variables),
    )
    for step in steps:
        _collect(call, step, variables, outcome)
    whole = StepResult(data, delegate=steps[0].delegate if steps else "")
    if call.task.action != "meta":
        seconds = time.monotonic() - started
        call.tell(whole, seconds, outcome=outcome, hidden=outcome.hidden)
    return outcome


def _collect(call: Call, step: StepResult, variables: Variables, outcome: TaskOutcome) -> None:
    if step.facts:
        of_host = call.task.action == "setup"
        if step.delegate and flag(call.keyword("delegate_facts", variables)):
            others = outcome.delegated_facts if of_host else outcome.delegated
            kept = others.setdefault(step.delegate, {})
        else:
            kept = outcome.host_facts if of_host else outcome.facts
        kept.update(step.facts)
    if isinstance(step.directive, IncludeTasks):
        outcome.includes.append(Included(step.directive.file, step.loop_values))
    elif step.directive is not None:
        outcome.directives.append(step.directive)


def _ignored(steps: Sequence[StepResult], status: Status) -> bool:
    """Whether the task's failure counts as none: when that of every item does."""
    lost = [step for step in steps if outcomes.status_of(step.data) is status]
    return status in {Status.FAILED, Status.UNREACHABLE} and all(one.ignored for one in lost)
