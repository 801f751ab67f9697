"""One item of a task on a host: conditions, arguments, identity, attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from nbops.actions.api import Action, IncludeTasks, Result
from nbops.base.command import LOGIN, Effect, Identity, Text
from nbops.base.errors import (
    ActionFailed,
    ConnectionLost,
    DeadlineExceeded,
    HostUnusable,
    JobLost,
    NbopsError,
    UsageError,
    understood,
)
from nbops.base.events import Status
from nbops.base.ids import StepId
from nbops.base.retry import Deadline, RetryPolicy
from nbops.base.secret import Secret
from nbops.base.yamlpos import place_of
from nbops.engine import outcome as outcomes
from nbops.engine.call import Call, StepResult
from nbops.engine.context import StepContext
from nbops.engine.past import Aborted
from nbops.engine.scope import as_mapping, flag
from nbops.engine.settle import Settled, settle, unknown
from nbops.runbook.arguments import expressions
from nbops.runbook.expr import Layer, Variables
from nbops.runbook.model import retry_policy
from nbops.runbook.values import OMIT

FAILURES = (ActionFailed, DeadlineExceeded, JobLost, UsageError)

LOOP_NAMES = ("ansible_loop", "ansible_loop_var", "ansible_index_var")

# Actions whose author says with `changed_when: false` that nothing is changed.
_PROMISES = frozenset({"command", "shell", "script"})


class Item:
    """One item of a task on a host (or the whole task, when it has no loop)."""

    def __init__(self, call: Call, variables: Variables, index: int = -1, item: Any = None) -> None:
        self._call = call
        self._parts = call.parts
        self._task = call.task
        self._variables = variables
        self._seen = variables
        self._index = index
        self._item = item
        self._delegate = ""
        self._attempt = 1
        self._attempts = 1
        self._did: set[str] = set()
        self._again = call.parts.past.tries(call.task.path, call.host, call.pass_number, index)

    def run(self) -> StepResult:
        """Do it. Raises only what ends the whole run."""
        step = self._outcome()
        try:
            step.ignored = ignores(self._call, self._variables, outcomes.status_of(step.data))
        except FAILURES as error:
            step.data = outcomes.failure(told(error))
        return step

    def _outcome(self) -> StepResult:
        self._parts.stop.check()
        try:
            return self._do()
        except (HostUnusable, ConnectionLost) as error:
            data = {"changed": False, "unreachable": True, "msg": told(error)}
            return StepResult(data, delegate=self._delegate)
        except FAILURES as error:
            return StepResult(outcomes.failure(told(error)), delegate=self._delegate)

    def label(self, step: StepResult) -> Any:
        """What the item is called in the output, its result at hand; one that cannot be had
        is a failure of the item."""
        label, register = self._task.loop_control.label, self._task.register
        if label is None:
            return self._item
        seen = {register: step.data} if register else {}
        variables = self._variables.with_layer(Layer("this result", seen, template=False))
        try:
            return self._call.templar.render(label, variables, self._task.place)
        except ActionFailed as error:
            step.data |= {"failed": True, "msg": f"loop_control.label: {told(error)}"}
            step.ignored = ignores(self._call, self._variables, Status.FAILED)
            return label

    def _do(self) -> StepResult:
        false = self._call.false_condition(self._variables)
        if false is not None:
            return StepResult(outcomes.skip(false[0]))
        self._delegate = self._delegated()
        action = self._parts.actions.action(self._task.action)
        if not action.spec.local:
            self._parts.astray.end(self._delegate or self._call.host, self._progress)
        self._settle(action)
        policy, conditions = self._policy()
        if policy is None:
            return self._once(action)
        self._attempts = policy.attempts

        def attempt(number: int) -> StepResult:
            self._attempt = number
            return self._once(action)

        def good(step: StepResult) -> bool:
            if self._holds(step, conditions):
                return True
            if self._attempt < self._attempts:
                why = step.data.get("msg") or "not yet"
                self._progress(f"{why} (attempt {self._attempt} of {self._attempts})")
            return False

        step, _ = policy.until(good, attempt, self._parts.stop)
        if policy.attempts > 1 and not self._holds(step, conditions):
            step.data["failed"] = True
            if self._task.retry is None:
                step.data["attempts"] = policy.attempts - 1  # as in Ansible: without the first
        return step

    def _settle(self, action: Action[Any]) -> None:
        """What this task had begun before the run was interrupted comes to an end first."""
        call, parts = self._call, self._parts
        no_further = parts.past.aborting or parts.past.undoing
        own = StepId(call.place, call.host, self._index).of_item
        good = parts.past.succeeded(call.place, call.host)
        steps = parts.past.open_effects(call.place, call.host)
        if steps:
            settled = self._settled(steps, end=no_further)
            if not action.spec.repeatable and any(one.startswith(own) for one in settled.lost):
                raise unknown(self._delegate or call.host)
            good += settled.good
        self._did = {step for step in good if step.startswith(own)}
        if no_further and not call.done:
            raise Aborted

    def _settled(self, steps: Sequence[str], *, end: bool) -> Settled:
        parts, host, identity = self._parts, self._delegate or self._call.host, self._identity()
        session = parts.connections.session(host)
        log, stop, say = parts.journal, parts.stop, self._progress
        try:
            return settle(steps, session, identity, log=log, stop=stop, end=end, say=say)
        except (HostUnusable, ConnectionLost):
            for step in steps:
                parts.astray.note(host, step, identity)
            raise

    def note_lost(self) -> None:
        """Note the jobs of this item whose end the interrupted run did not see."""
        call, parts = self._call, self._parts
        host = self._delegated() or call.host
        own = StepId(call.place, call.host, self._index).of_item
        for step in parts.past.open_effects(call.place, call.host):
            if step.startswith(own):
                parts.astray.note(host, step, self._identity())

    def _holds(self, step: StepResult, conditions: tuple[Any, ...]) -> bool:
        if not conditions:
            return not step.data.get("failed")
        return self._all(conditions, "until")

    def _all(self, conditions: tuple[Any, ...], keyword: str) -> bool:
        place = self._call.scope.place(keyword)
        condition = self._call.templar.condition
        return all(condition(one, self._seen, place) for one in conditions)

    def _policy(self) -> tuple[RetryPolicy | None, tuple[Any, ...]]:
        """How often to try, and the conditions that end it; None when it is done once.

        Ansible's `retries` counts the tries after the first; without it, `until` has three.
        """
        task = self._task
        if task.retry is not None:
            values = as_mapping(self._render(dict(task.retry.values)))
            try:
                return retry_policy(values), task.until
            except (ValueError, TypeError) as error:
                raise ActionFailed(f"retry: {error}", place=task.retry.place) from None
        if task.retries is None and not task.until:
            return None, ()
        retries, delay = self._render(task.retries), self._render(task.delay)
        retries = (3 if task.until else 0) if retries in {None, OMIT} else int(retries)
        delay = 5.0 if delay in {None, OMIT} else float(delay)
        delay = delay if delay >= 0 else 1.0
        return RetryPolicy(attempts=max(retries, 0) + 1, delay=delay), task.until

    def _once(self, action: Action[Any]) -> StepResult:
        context = self._context(action)
        try:
            result = self._run(action, context)
        except FAILURES as error:
            result = Result(failed=True, msg=told(error))
        # What the action finds done is this task's own doing when a job of it, from before the
        # run was interrupted, did it.
        if not result.failed and not result.skipped and self._did.difference(context.sent):
            result = replace(result, changed=True)
        data = outcomes.registered(result)
        if self._attempts > 1:
            data["attempts"] = self._attempt
        self._judge(data)
        if context.diff and (diff := outcomes.diff_text(result.diff)):
            data["diff"] = diff
        values: Mapping[str, Any] = {}
        if isinstance(result.directive, IncludeTasks) and self._index >= 0:
            values = self._loop_values()
        return StepResult(data, result.facts, result.directive, values, self._delegate)

    def _run(self, action: Action[Any], context: StepContext) -> Result:
        """The action; once more when its machine restarted under it and it can be repeated."""
        anew = replace(context)  # counts the commands that the action sends from the start
        try:
            return _carried_out(action, self._arguments(action), context)
        except JobLost as error:
            if not action.spec.repeatable:
                raise unknown(context.host) from error
        self._again += 1
        # Noted: a run that goes on attaches to this try, and begins no third.
        call, counts = self._call, {self._index: self._again}
        self._parts.journal.retried(call.task.path, call.host, call.pass_number, counts)
        return _carried_out(action, self._arguments(action), replace(anew, again=self._again))

    def _judge(self, data: dict[str, Any]) -> None:
        """Apply `changed_when` and `failed_when`, which see the result under its name."""
        task = self._task
        self._seen = self._variables
        if task.register:
            this = Layer("this result", {task.register: data}, template=False)
            self._seen = self._variables.with_layer(this)
        if data.get("skipped"):
            return
        keyword = "changed_when"
        try:
            if task.changed_when:
                data["changed"] = self._all(task.changed_when, keyword)
            keyword = "failed_when"
            if task.failed_when:
                failed = self._all(task.failed_when, keyword)
                data["failed_when_result"] = data["failed"] = failed
        except ActionFailed as error:
            data |= {"failed": True, "msg": told(error), f"{keyword}_result": told(error)}

    def _arguments(self, action: Action[Any]) -> Any:
        task = self._task
        if task.args_template is not None:
            given = dict(as_mapping(self._render(task.args_template)))
            values = given | self._written_arguments(expressions(action.spec.args))
        else:
            values = self._written_arguments(expressions(action.spec.args))
        try:
            return action.spec.args.model_validate(values)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
            raise ActionFailed(f"{action.spec.name}: {faults}", place=task.place) from None

    def _written_arguments(self, kept: set[str]) -> dict[str, Any]:
        """The arguments, rendered; those in `kept` are expressions, which the action itself
        evaluates: to render them first would evaluate what a host said."""
        args, render = self._task.args, self._call.templar.render
        values = {
            name: value
            if name in kept
            else render(value, self._variables, place_of(args, (name,)) or self._task.place)
            for name, value in args.items()
        }
        return {name: value for name, value in values.items() if value is not OMIT}

    def _context(self, action: Action[Any]) -> StepContext:
        call, parts, task = self._call, self._parts, self._task
        check, diff, timeout = (
            call.keyword(keyword, self._variables) for keyword in ("check_mode", "diff", "timeout")
        )
        promised = task.changed_when == (False,) and action.spec.name in _PROMISES
        return StepContext(
            host=self._delegate or call.host,
            action=action.spec.name,
            step=StepId(call.place, call.host, self._index, self._attempt),
            check=parts.check if check is None else flag(check),
            diff=parts.diff if diff is None else flag(diff),
            identity=LOGIN if action.spec.local else self._identity(),
            environment=self._environment() if action.spec.environment else {},
            variables=self._variables,
            hosts=call.hosts,
            folder=task.folder,
            root=parts.root,
            stop=parts.stop,
            connections=parts.connections,
            log=parts.journal,
            seals=parts.seals,
            templar=call.templar,
            emit_event=parts.emit,
            say=self._progress,
            lose=parts.astray.note,
            limit=Deadline(float(timeout)) if timeout else None,
            again=self._again,
            probe_only=promised or action.spec.effect is Effect.NONE,
        )

    def _identity(self) -> Identity:
        """Whom to act as. As in Ansible, variables of the host acted on win over keywords."""
        source: Mapping[str, Any] = self._variables
        if self._delegate and self._delegate in self._parts.store.known():
            source = self._parts.store.of_host(self._delegate)

        def value(name: str, default: Any = None) -> Any:
            if f"ansible_{name}" in source:
                return source[f"ansible_{name}"]
            written = None
            if name != "become_password":
                written = self._call.keyword(name, self._variables)
            return default if written is None else written

        if not flag(value("become", False)):
            return LOGIN
        password = value("become_password", source.get("ansible_become_pass"))
        if password is not None and not isinstance(password, Secret):
            password = Secret(str(password))
        if password is not None:
            self._parts.masker.learn(password)
        return Identity(
            str(value("become_user", "root")), str(value("become_method", "sudo")), password
        )

    def _environment(self) -> Mapping[str, Text]:
        merged: dict[str, Text] = {}
        for written in self._call.scope.environments:
            found = self._render(written)
            for one in found if isinstance(found, list) else [found]:
                for name, value in as_mapping(one).items():
                    merged[str(name)] = value if isinstance(value, Secret) else str(value)
        return merged

    def _delegated(self) -> str:
        name = self._call.keyword("delegate_to", self._variables)
        return "" if name is None else str(name)

    def _loop_values(self) -> Mapping[str, Any]:
        control = self._task.loop_control
        names = (control.loop_var, control.index_var, *LOOP_NAMES)
        return {name: self._variables[name] for name in names if name and name in self._variables}

    def _progress(self, message: str) -> None:
        self._call.progress(message, self._attempt, self._attempts)

    def _render(self, value: Any) -> Any:
        return self._call.templar.render(value, self._variables, self._task.place)


def ignores(call: Call, variables: Variables, status: Status) -> bool:
    """Whether a failure of this kind counts as none."""
    keyword = {Status.FAILED: "ignore_errors", Status.UNREACHABLE: "ignore_unreachable"}.get(status)
    if keyword is None:
        return False
    return flag(call.keyword(keyword, variables))


def _carried_out(action: Action[Any], args: Any, context: StepContext) -> Result:
    """The action on its host."""
    with understood(context.host, action.spec.name):
        return action.run(args, context)


def told(error: NbopsError) -> str:
    """An error for a result: its message, and its hint where it has one."""
    hint = error.problems[0].hint
    return f"{error} ({hint})" if hint else str(error)
