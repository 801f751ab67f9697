"""The only place that puts the parts together: which actions, which observers, which run."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nbops import __version__
from nbops.actions.builtin import BUILTIN
from nbops.actions.registry import Registry
from nbops.base.errors import Problem, UsageError
from nbops.base.events import Bus, Note, Observer
from nbops.base.ids import new_run_id
from nbops.base.retry import Stop
from nbops.cli import runbooks
from nbops.cli.cluster import Cluster
from nbops.cli.extra import sealed, secret_vars
from nbops.cli.faults import masked
from nbops.cli.foresee import check_choice, check_hosts
from nbops.cli.openly import openly
from nbops.engine.connections import Connections
from nbops.engine.hosts import Hosts
from nbops.engine.includes import include_loader
from nbops.engine.past import NoPast
from nbops.engine.process import this_process
from nbops.engine.run import FORKS, OnFailure, Run, RunRequest
from nbops.engine.strategy import Choice
from nbops.engine.varsfiles import files_of
from nbops.engine.witness import Witness
from nbops.inventory.pattern import match_hosts
from nbops.journal.store import PROCESS, Journal, RunEntry, as_json, journal_path
from nbops.nocobase.actions import NOCOBASE_ACTIONS
from nbops.nocobase.releases import newest, on_its_way, way_out
from nbops.nocobase.settings import (
    VARIABLE,
    ClusterSettings,
)
from nbops.report.choose import observer
from nbops.runbook.expr import Templar
from nbops.runbook.model import Runbook
from nbops.transport.machine import Machine
from nbops.transport.pool import Pool

if TYPE_CHECKING:
    from nbops.cli.run_options import RunOptions
    from nbops.engine.variables import World
    from nbops.transport.session import Fence, Session

# The ansible-core whose language runbooks speak.
ANSIBLE_VERSION = {
    "full": "2.19.0",
    "string": "2.19.0",
    "major": 2,
    "minor": 19,
    "revision": 0,
}
_WITH_WINDOW = frozenset({"upgrade", "rollback", "restore"})


def catalog() -> Registry:
    """Every action there is."""
    return Registry((*BUILTIN, *NOCOBASE_ACTIONS))


def operator() -> str:
    """Who runs this: `user@computer`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def run(options: RunOptions) -> int:
    """Run a runbook, show it, and give the exit code.

    Raises an NbopsError when the run ended before or outside its plays.
    """
    cluster = Cluster(
        options.inventory, options.extra_vars, (options.runbook.parent,), options.version
    )
    with masked(cluster.masker):
        return _run(options, cluster)


def _run(options: RunOptions, cluster: Cluster) -> int:
    actions = catalog()
    runbook = runbooks.load(options.runbook, options.inventory, actions)
    if options.strict and cluster.settings is None:
        raise UsageError(
            f"{cluster.path}: no `{VARIABLE}:` settings",
            hint="`nbops init` writes an inventory that has them",
        )
    warnings = [
        *cluster.inventory.warnings,
        *check_hosts(runbook, cluster.inventory, options.limit),
        *check_choice(runbook, options.tags, options.skip_tags, options.start_at_task),
    ]
    prepared = _prepare(options, cluster, actions, runbook)
    try:
        warn(prepared.bus, warnings)
        report = prepared.execute()
    finally:
        prepared.bus.close()
        prepared.journal.close()
    if report.error is not None:
        raise report.error
    return report.exit_code


def warn(bus: Bus, warnings: Iterable[Problem]) -> None:
    """Tell what is not wrong enough to stop for."""
    for one in warnings:
        bus(Note(level="warning", message=str(one), hint=one.hint or ""))


def _prepare(options: RunOptions, cluster: Cluster, actions: Registry, runbook: Runbook) -> Run:
    run_id = options.again.run if options.again else new_run_id()
    stop, root = Stop(), options.runbook.parent
    settings = cluster.settings
    magic = _magic(options, run_id, root) | {"nbops_places": _places(settings)}
    world = cluster.world(magic, packages=True)
    cluster.check_endpoints()
    request = _request(options, run_id, runbook, world, settings)
    journal = _journal(options, _entry(options, run_id, request.cluster, runbook, cluster))
    shown: Observer = options.observer or observer(
        json=options.json,
        plain=options.plain,
        verbosity=options.verbosity,
        downtime=options.again.downtime if options.again else None,
    )
    bus = Bus([shown, journal], cluster.masker)
    holder: list[Run] = []
    pool = Pool(
        run_id,
        stop=stop,
        emit=bus,
        fence_of=_fences(cluster, holder),
        machine_of=_machines(options, journal),
    )
    prepared = Run(
        request=request,
        actions=actions,
        templar=Templar((root,)),
        journal=journal,
        connections=Connections(pool, cluster.endpoint),
        match=lambda pattern: match_hosts(cluster.inventory, pattern, options.limit),
        load=include_loader(actions, root, runbooks.overlay(options.runbook, options.inventory)),
        identity_of=cluster.root_identity,
        bus=bus,
        stop=stop,
        masker=cluster.masker,
        ask=_asker(options),
        serving=_serving(options.command),
        way_out=partial(_way_out, options.command),
        openly=openly(world),
        half_way=lambda states: _pending(states) is not None,
    )
    holder.append(prepared)
    return prepared


def _request(
    options: RunOptions,
    run_id: str,
    runbook: Runbook,
    world: World,
    settings: ClusterSettings | None,
) -> RunRequest:
    return RunRequest(
        run=run_id,
        command=options.command,
        operator=operator(),
        runbook=runbook,
        root=options.runbook.parent,
        world=world,
        cluster=settings.common.cluster if settings else "",
        strict=options.strict,
        choice=Choice(
            tags=options.tags,
            skip_tags=options.skip_tags,
            start_at_task=options.start_at_task,
        ),
        check=options.check,
        diff=options.diff,
        forks=options.forks or (settings.common.ssh.forks if settings else None) or FORKS,
        past=options.again.past if options.again else NoPast(),
        number=options.again.number if options.again else 0,
        anew="".join(
            f" -e {name}=…"
            for name, value in options.extra_vars.items()
            if secret_vars({name: value})
        ),
        on_failure=_on_failure(options, settings),
    )


def _journal(options: RunOptions, entry: RunEntry) -> Journal:
    """The journal, with this run and this process in it. Raises RefusedError or LockedError
    when the run that is to go on has changed or goes on elsewhere."""
    if options.again:
        options.again.check(entry)
    journal = Journal(journal_path(), entry, again=options.again is not None)
    journal.mark(f"{PROCESS}{this_process()}")
    if options.again:
        options.again.check_alone()
    return journal


def _fences(cluster: Cluster, runs: Sequence[Run]) -> Callable[[str], Fence | None]:
    """Gives the number under which a host of the cluster may be acted on, once it is locked.
    Before a job on any other host one of the cluster's is asked whether the lock is still ours."""
    hosts = cluster.inventory.hosts

    def fence_of(host: str) -> Fence | None:
        lock = runs[0].lock if runs else None
        if lock is None:
            return None
        if host not in hosts:
            witness.check()
            return None
        return lock.fence(host)

    def session(host: str) -> Session:
        return runs[0].connections.session(host)

    witness = Witness(hosts, session, fence_of)
    return fence_of


def _machines(options: RunOptions, journal: Journal) -> Callable[[str], Machine]:
    """Gives the machine that a host was when the run met it first, and notes which it is."""

    def machine_of(host: str) -> Machine:
        met = options.again.machines.get(host, "") if options.again else ""
        return Machine(host, met, lambda machine: journal.machine(host, machine))

    return machine_of


def _on_failure(options: RunOptions, settings: ClusterSettings | None) -> OnFailure:
    if options.on_failure is not None:
        return options.on_failure
    return OnFailure(settings.common.upgrade.on_failure) if settings else OnFailure.ROLLBACK


def _serving(command: str) -> Callable[[Hosts, bool], str]:
    """Says which version users have when such a command ends without its goal, or that it left
    the cluster half-way, as it was."""

    def serving(states: Hosts, sealed: bool) -> str:
        if command not in _WITH_WINDOW:
            return ""
        known, pending = list(states.facts_of("nocobase_release")), _pending(states)
        if pending and not sealed:
            run = pending["run"]
            return f"the cluster is half-way (run {run}; `nbops rollback` goes back from there)"
        last = newest([*known, pending])
        return f"NocoBase {last['version']} serves" if last else ""

    return serving


def _way_out(command: str, states: Hosts) -> str:
    """The command that ends it from another computer."""
    return way_out(command, _pending(states), newest(states.facts_of("nocobase_release")))


def _pending(states: Hosts) -> Mapping[str, Any] | None:
    """The release that is on its way, as any host told."""
    present = newest(states.facts_of("nocobase_release"))
    return on_its_way(states.facts_of("nocobase_pending"), present)


def _asker(options: RunOptions) -> Callable[[str], bool]:
    """Asks on a terminal; `--yes` answers; without either, nothing is agreed to."""

    def ask(question: str) -> bool:
        if options.yes:
            return True
        if options.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return typer.confirm(question, err=True)

    return ask


def _places(settings: ClusterSettings | None) -> dict[str, Any]:
    """Where settings stand that an action may have to refuse."""
    place = settings.place("version") if settings else None
    return {"version": asdict(place)} if place else {}


def _magic(options: RunOptions, run_id: str, root: Path) -> dict[str, Any]:
    return {
        "playbook_dir": str(root.absolute()),
        "inventory_dir": str(options.inventory.parent.absolute()),
        "inventory_file": str(options.inventory.absolute()),
        "ansible_inventory_sources": [str(options.inventory.absolute())],
        "ansible_version": ANSIBLE_VERSION,
        "ansible_check_mode": options.check,
        "ansible_diff_mode": options.diff,
        "ansible_verbosity": options.verbosity,
        "ansible_forks": options.forks or FORKS,
        "ansible_run_tags": list(options.tags) or ["all"],
        "ansible_skip_tags": list(options.skip_tags),
        "ansible_limit": options.limit,
        "nbops_run": run_id,
        "nbops_operator": operator(),
        "nbops_command": options.command,
        "nbops_accept_data_loss": options.accept_data_loss,
        "nbops_to": options.to,
        "nbops_assume_yes": options.yes,
        "nbops_adopt": options.adopt,
    }


def _digest(path: Path) -> str:
    """Tells whether a file has changed, and nothing of what is in it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(
    options: RunOptions, run_id: str, name: str, runbook: Runbook, cluster: Cluster
) -> RunEntry:
    inventory = {host: cluster.inventory.vars_of(host) for host in cluster.inventory.hosts}
    read = {path.resolve() for path in runbook.files}
    named = files_of(runbook.plays, options.runbook.parent)
    parts = {
        "runbook": {str(path.absolute()): path.read_text("utf-8") for path in runbook.files},
        "vars_files": {
            str(path.absolute()): _digest(path) for path in named if path.resolve() not in read
        },
        "inventory": inventory,
        "nbops": __version__,
        "extra": sealed(options.extra_vars),
        "limit": options.limit,
        "tags": options.tags,
        "skip_tags": options.skip_tags,
        "start_at_task": options.start_at_task,
        "check": options.check,
        "strict": options.strict,
        "on_failure": options.on_failure,
        "version": options.version,
        "accept_data_loss": options.accept_data_loss,
        "to": options.to,
        "adopt": options.adopt,
    }
    # Not the text: a secret of digits, or a word of JSON, would leave none that can be read.
    plan = as_json({name: cluster.masker.data(part) for name, part in parts.items()})
    return RunEntry(
        run=run_id,
        command=options.command,
        cluster=name,
        operator=operator(),
        inventory=str(options.inventory.absolute()),
        runbook=str(options.runbook.absolute()),
        plan_hash=hashlib.sha256(plan.encode()).hexdigest(),
        plan=plan,
    )
