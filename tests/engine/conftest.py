"""Plays on local sessions: the engine with real shells on this machine.

The hosts are names for this machine; that sessions over SSH do the same is tested in
tests/transport.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nbops.actions.api import ActionContext, Result
from nbops.actions.builtin import BUILTIN
from nbops.actions.registry import Registry
from nbops.base.command import Effect, Identity
from nbops.base.events import Bus, Event, StepEnded
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.base.secret import Masker
from nbops.engine.connections import Connections
from nbops.engine.includes import include_loader
from nbops.engine.past import interruption
from nbops.engine.run import Run, RunReport, RunRequest
from nbops.engine.strategy import Choice
from nbops.engine.variables import World
from nbops.inventory.load import load_inventory
from nbops.inventory.pattern import match_hosts
from nbops.journal.store import Journal, RunEntry
from nbops.journal.unfinished import unfinished
from nbops.runbook.expr import Templar
from nbops.runbook.load import load_runbook
from nbops.runbook.spec import ActionSpec, NoArgs
from nbops.transport.endpoint import Endpoint
from nbops.transport.pool import Pool

INVENTORY = """
all:
  children:
    app: {hosts: {a: , b: , c: }}
    other: {hosts: {d: {word: from-d}}}
  vars: {word: from-all}
"""


@dataclass
class Played:
    """A run that is over: its report and everything that was seen of it."""

    report: RunReport
    seen: list[Event] = field(default_factory=list)
    folder: Path = Path()
    journal: Path = Path()
    run: str = ""

    @property
    def code(self) -> int:
        return self.report.exit_code

    @property
    def text(self) -> str:
        return str(self.report.error or "")

    def counts(self, host: str) -> dict[str, int]:
        return {name: n for name, n in self.report.recap.get(host, {}).items() if n}

    def result(self, task: str, host: str = "a") -> Mapping[str, Any]:
        return next(
            event.result
            for event in reversed(self.seen)
            if isinstance(event, StepEnded) and (event.task, event.host) == (task, host)
            if event.item is None
        )

    def order(self) -> list[tuple[str, str]]:
        return [(event.task, event.host) for event in self.seen if isinstance(event, StepEnded)]


class WarnAction:
    """An action that only warns."""

    spec = ActionSpec(
        name="warn", args=NoArgs, summary="Warns.", example="- warn:", effect=Effect.NONE
    )

    def run(self, args: NoArgs, ctx: ActionContext) -> Result:
        del args, ctx
        return Result(warnings=("mind",))


class TrustAction:
    """An action that takes it for granted that its host answers with a number."""

    spec = ActionSpec(name="trust", args=NoArgs, summary="Reads a number.", example="- trust:")

    def run(self, args: NoArgs, ctx: ActionContext) -> Result:
        del args
        return Result(values={"number": int(ctx.probe("echo none").out)})


class HoldAction:
    """An action that may be repeated: notes in `begun` that it began, and waits for `go`."""

    spec = ActionSpec(name="hold", args=NoArgs, summary="Waits.", example="- hold:")

    def run(self, args: NoArgs, ctx: ActionContext) -> Result:
        del args
        work = ctx.vars["work"]
        script = f"echo {ctx.host} >>{work}/begun; until [ -e {work}/go ]; do sleep 0.05; done"
        return Result(changed=True, failed=not ctx.act(script).ok)


class SealAction:
    """An action that lets users in: what was done so far is not undone any more."""

    spec = ActionSpec(name="seal", args=NoArgs, summary="Lets users in.", example="- seal:")

    def run(self, args: NoArgs, ctx: ActionContext) -> Result:
        del args
        ctx.seal()
        return Result(changed=True)


class _Seen:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        return


Play = Callable[..., Played]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs a runbook's text on the hosts a, b, c (group app) and d; with `again` goes on with the
    run of that name. `without_d`: d was taken out of the inventory; `with_d`: it is new there."""

    def run(text: str, *, files: Mapping[str, str] | None = None, **options: Any) -> Played:
        folder = tmp_path / "runbooks"
        folder.mkdir(exist_ok=True)
        for name, content in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(textwrap.dedent(content))
        (folder / "main.yml").write_text(textwrap.dedent(text))
        hosts = INVENTORY
        if options.get("without_d"):  # a host that was taken out
            hosts = hosts.replace("d: {word: from-d}", "")
        if "gone" in text:  # a host that cannot be reached
            hosts = hosts.replace("  vars:", "    away: {hosts: {gone: }}\n  vars:")
        (tmp_path / "inventory.yml").write_text(hosts)
        return _run(tmp_path, folder / "main.yml", options)

    return run


def _endpoint(host: str) -> Endpoint:
    if host == "gone":
        return Endpoint(name=host, address="127.99.0.1", port=1, user="nobody")
    return Endpoint(name=host, address="localhost", connection="local")


def _run(tmp_path: Path, path: Path, options: dict[str, Any]) -> Played:
    inventory = load_inventory(tmp_path / "inventory.yml")
    actions = Registry((*BUILTIN, WarnAction(), TrustAction(), HoldAction(), SealAction()))
    runbook = load_runbook(path, actions)
    masker, stop, seen = Masker(), options.pop("stop", Stop()), _Seen()
    for secret in options.pop("secrets", ()):
        masker.learn(secret)
    again, fences = options.pop("again", ""), options.pop("fences", {})
    run_id = again or new_run_id()
    aborting, wrap = options.pop("aborting", False), options.pop("wrap", lambda pool: pool)
    half_way, openly = options.pop("half_way", False), options.pop("openly", ())
    changed = options.pop("without_d", False) or options.pop("with_d", False)
    if again:
        state = unfinished(tmp_path / "journal.db", again)
        options["past"] = interruption(state, aborting=aborting, changed=changed)
    journal = Journal(
        tmp_path / "journal.db",
        RunEntry(
            run=run_id,
            command="run",
            cluster="",
            operator="me@here",
            inventory="inventory.yml",
            runbook="main.yml",
            plan_hash="",
        ),
        again=bool(again),
    )
    bus = Bus([seen, journal], masker)
    run = Run(
        request=RunRequest(
            run=run_id,
            command="run",
            operator="me@here",
            runbook=runbook,
            root=path.parent,
            world=World(
                inventory={name: inventory.vars_of(name) for name in inventory.hosts},
                groups=inventory.members(),
                group_names={name: inventory.groups_of(name) for name in inventory.hosts},
                extra={"work": str(tmp_path), **options.pop("extra", {})},
            ),
            choice=Choice(**options.pop("choice", {})),
            **options,
        ),
        actions=actions,
        templar=Templar((path.parent,)),
        journal=journal,
        connections=Connections(
            wrap(Pool(run_id, stop=stop, emit=bus, fence_of=fences.get)),
            _endpoint,
        ),
        match=lambda pattern: match_hosts(inventory, pattern),
        load=include_loader(actions, path.parent),
        identity_of=lambda _: Identity("root"),
        bus=bus,
        stop=stop,
        masker=masker,
        half_way=lambda _: half_way,
        openly=lambda word: word in openly,
    )
    report = run.execute()
    journal.close()
    return Played(report, seen.events, tmp_path, journal.path, run_id)
