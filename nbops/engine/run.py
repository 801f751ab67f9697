"""A run: connect, lock, play, undo when it failed, release."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from nbops.base.command import Identity
from nbops.base.errors import (
    ActionFailed,
    ConnectionLost,
    FenceRefused,
    HostUnusable,
    Interrupted,
    NbopsError,
    RefusedError,
    RolledBack,
    StuckError,
    UsageError,
)
from nbops.base.events import Bus, Note, RunEnded, RunStarted
from nbops.base.retry import Stop
from nbops.base.secret import Masker
from nbops.engine.astray import Astray
from nbops.engine.batch import Batch
from nbops.engine.call import Actions, Parts
from nbops.engine.connections import Connections
from nbops.engine.context import Seals
from nbops.engine.handlers import Handlers
from nbops.engine.hosts import Hosts
from nbops.engine.lock import ClusterLock
from nbops.engine.lockhosts import LockHosts
from nbops.engine.lockrecord import Holder
from nbops.engine.past import Aborted, NoPast, Past
from nbops.engine.play import Match, Player
from nbops.engine.process import this_process
from nbops.engine.rollback import Compensations
from nbops.engine.signals import signals
from nbops.engine.strategy import Choice, Linear, Loader
from nbops.engine.variables import PlayVariables, VariableStore, World
from nbops.engine.wayon import WayOn
from nbops.journal.store import Journal
from nbops.runbook.expr import Templar
from nbops.runbook.model import Runbook

FORKS = 32


class OnFailure(StrEnum):
    """What becomes of a run that failed and could be undone."""

    ROLLBACK = "rollback"
    STOP = "stop"
    ASK = "ask"


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What is to be run, on what, and how.

    `cluster` is empty for a runbook that belongs to no cluster: then nothing is locked.
    `strict` runs connect to every host first and do nothing when one cannot be used;
    otherwise an unreachable host is counted as Ansible counts it. `anew` are the words of its
    command line that have to be given again when it goes on. `past` is what the same run
    did before it was interrupted, `number` the one under which it held the lock then (0: none).
    """

    run: str
    command: str
    operator: str
    runbook: Runbook
    root: Path
    world: World
    cluster: str = ""
    strict: bool = False
    choice: Choice = field(default_factory=Choice)
    check: bool = False
    diff: bool = False
    forks: int = FORKS
    past: Past = field(default_factory=NoPast)
    number: int = 0
    anew: str = ""
    on_failure: OnFailure = OnFailure.ROLLBACK


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """How a run ended. `error` is what ended it before its plays did, when something did."""

    exit_code: int
    recap: Mapping[str, Mapping[str, int]]
    seconds: float
    error: NbopsError | None = None


@dataclass(kw_only=True)
class Run:
    """One run of a runbook; made for one use."""

    request: RunRequest
    actions: Actions
    templar: Templar
    journal: Journal
    connections: Connections
    match: Match
    load: Loader
    identity_of: Callable[[str], Identity]
    bus: Bus
    stop: Stop
    masker: Masker
    ask: Callable[[str], bool] = lambda _question: False
    serving: Callable[[Hosts, bool], str] = lambda _states, _sealed: ""
    way_out: Callable[[Hosts], str] = lambda _states: ""
    openly: Callable[[str], bool] = lambda _word: False
    half_way: Callable[[Hosts], bool] = lambda _states: False
    lock: ClusterLock | None = None
    _open: bool = False
    _over: str = ""
    _cut: bool = False

    def execute(self) -> RunReport:
        """Carry it out. Never raises an NbopsError: the report holds it."""
        request = self.request
        aborting = request.past.aborting
        hosts = list(request.world.inventory)
        states = Hosts(hosts)
        started = time.monotonic()
        self.bus(
            RunStarted(
                run=request.run,
                command=f"abort of {request.command}" if aborting else request.command,
                cluster=request.cluster,
                hosts=hosts,
                check=request.check,
            )
        )
        error: NbopsError | None = None
        code = 0
        with ThreadPoolExecutor(max(1, request.forks), thread_name_prefix="host") as workers:
            try:
                with signals(self.stop, self.bus):
                    code = self._guarded(hosts, states, workers)
            except NbopsError as caught:
                error = self._way_on(states).said(caught) if self._open else caught
                code = caught.exit_code
        seconds = time.monotonic() - started
        recap = states.recap()
        message = str(error) if error else states.failed() if code else self._over
        shown = 0 if aborting and isinstance(error, RolledBack) else code
        self.bus(
            RunEnded(
                run=request.run,
                exit_code=shown,
                seconds=seconds,
                recap=recap,
                message=message,
                hint=_hints(error),
            )
        )
        note = self.journal.leave if self._open else self.journal.end
        note(code, self.masker.text(message))
        return RunReport(exit_code=code, recap=recap, seconds=seconds, error=error)

    def _guarded(self, hosts: Sequence[str], states: Hosts, workers: ThreadPoolExecutor) -> int:
        request = self.request
        self._open = self.journal.touched
        try:
            if request.strict:
                unusable = self.connections.connect_all(hosts, request.forks, self.identity_of)
                if unusable:
                    raise self._way_on(states).without(unusable, half_way=self._open)
            try:
                if request.cluster and not request.check:
                    self._take_lock(hosts, workers)
                code = self._while_ours(states, workers)
                self._open = False
            except (RolledBack, FenceRefused):
                self._open = False
                raise
            except BaseException:
                self._open = self.journal.touched and not request.check
                raise
            return code
        finally:
            self.stop.lift()
            if self.lock is not None:
                self.lock.leave(parked=self._open)
            self.connections.close(sweep=not self._open)

    def _take_lock(self, hosts: Sequence[str], workers: ThreadPoolExecutor) -> None:
        request = self.request
        keepers = LockHosts(
            request.cluster, hosts, self.connections, self.identity_of, self.bus, workers
        )
        self.lock = ClusterLock(keepers, self.stop)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(request.run, request.operator, request.command, since, this_process())
        self.journal.lock_number(self.lock.take(holder, request.number))

    def _while_ours(self, states: Hosts, workers: ThreadPoolExecutor) -> int:
        """Play; when it was stopped because the lock was taken from this run, say so."""
        try:
            return self._play(states, workers)
        except Interrupted as error:
            if self.lock is not None and self.lock.lost is not None:
                raise self.lock.lost from error
            raise

    def _play(self, states: Hosts, workers: ThreadPoolExecutor) -> int:
        if self.request.past.aborting:
            self.journal.mark("undoing")  # from here on there is only the way back
        hosts = {*self.request.world.inventory, "localhost"}
        undo = Compensations(self.journal, self.bus, self.request.past, hosts)
        parts = self._parts(states, undo)
        player = Player(
            parts=parts,
            hosts=states,
            match=self.match,
            load=self.load,
            undo=undo,
            workers=workers,
            choice=self.request.choice,
            started=self.request.choice.start_at_task is None,
        )
        why = self._play_all(player, undo, states)
        if not why:
            self._check_started(player)
            return 0
        if not undo.complete:
            raise self._way_on(states).unknown(why)
        if undo.any and not self.request.check:
            self._before_undoing(why, states)
            self._end_astray(parts.astray, workers)
            back = replace(parts, past=self.request.past.of_the_way_back())
            try:
                undo.run(self._undoing(back, states, undo, workers))
            except StuckError as stuck:
                raise self._way_on(states).stuck(why, stuck) from stuck
            serves = self.serving(states, False)
            now = f", and {serves} as before" if serves else ""
            hint = None if self.request.past.aborting else _anew(self.request.run)
            raise RolledBack(f"{why}. Everything that was begun was undone{now}", hint=hint)
        if self.request.past.aborting or self.request.past.undoing:
            raise _not_undone(why, states.changed)
        if undo.sealed and self._cut and (player.unreachable or self.half_way(states)):
            raise self._way_on(states).half_open(why)
        self._tell_what_serves(states, sealed=undo.sealed)
        only_unreachable = not any(counts["failed"] for counts in states.recap().values())
        return 4 if only_unreachable and not states.changed else 1

    def _end_astray(self, astray: Astray, workers: ThreadPoolExecutor) -> None:
        """End what was lost sight of, wherever it can be reached."""

        def one(host: str) -> None:
            def say(message: str) -> None:
                self.bus(Note(level="info", message=message, host=host))

            try:
                astray.end(host, say)
            except (HostUnusable, ConnectionLost) as error:
                message = f"what was begun there may still be at work: {error}"
                hint = "it is ended before anything else is done there"
                self.bus(Note(level="warning", message=message, hint=hint, host=host))

        list(workers.map(one, astray.hosts))

    def _way_on(self, states: Hosts) -> WayOn:
        return WayOn(
            run=self.request.run,
            anew=self.request.anew,
            aborting=self.request.past.aborting,
            elsewhere=self.way_out(states),
        )

    def _tell_what_serves(self, states: Hosts, *, sealed: bool) -> None:
        """After a failure that undid nothing: what users have now."""
        serves = self.serving(states, sealed)
        if serves and sealed:
            text = f"{serves}; users work with it already, so nothing was undone"
            hint = "`nbops rollback` goes back, and says what would be lost"
            self.bus(Note(level="warning", message=text, hint=hint))
        elif serves:
            self.bus(Note(level="info", message=f"{serves} as before; nothing was touched"))

    def _play_all(self, player: Player, undo: Compensations, states: Hosts) -> str:
        """All plays; gives why the run is to be undone, empty when it came to its end."""
        try:
            for play in self.request.runbook.plays:
                if not player.play(play):
                    self._over, self._cut = player.over, not player.over
                    break
        except Aborted:
            return f"run {self.request.run} was aborted"
        except (RefusedError, UsageError, ActionFailed) as error:  # of a play or task, not a host
            if not undo.any or not undo.complete:
                raise
            self.bus(Note(level="error", message=str(error), hint=error.problems[0].hint or ""))
            return str(error)
        if player.lost:
            return states.why_lost(player.lost)
        past = self.request.past  # it may have been broken off with nothing left to do
        return f"run {self.request.run} was aborted" if past.aborting or past.undoing else ""

    def _check_started(self, player: Player) -> None:
        """Raises UsageError when the run never came to the task that it was to begin at."""
        wanted = self.request.choice.start_at_task
        if not player.started:
            raise UsageError(
                f"--start-at-task: no host comes to a task `{wanted}`: nothing was done",
                hint="tags and `--limit` leave it out, or its play means no host",
            )

    def _before_undoing(self, why: str, states: Hosts) -> None:
        """Stop here, or ask, when that is wanted. Raises NbopsError to stop."""
        wanted, past = self.request.on_failure, self.request.past
        if past.aborting or past.undoing or wanted is OnFailure.ROLLBACK:
            return
        if wanted is OnFailure.ASK and self.ask(f"{why}. Go back to what was before?"):
            return
        raise self._way_on(states).stopped(why)

    def _parts(self, states: Hosts, seals: Seals) -> Parts:
        request = self.request
        return Parts(
            actions=self.actions,
            templar=self.templar,
            journal=self.journal,
            seals=seals,
            masker=self.masker,
            openly=self.openly,
            connections=self.connections,
            astray=Astray(self.connections, self.journal, self.stop),
            store=VariableStore(request.world, states, self.templar),
            emit=self.bus,
            stop=self.stop,
            root=request.root,
            check=request.check,
            diff=request.diff,
            past=request.past,
        )

    def _undoing(
        self, parts: Parts, states: Hosts, undo: Compensations, workers: ThreadPoolExecutor
    ) -> Linear:
        nobody = Batch((), states, PlayVariables())
        return Linear(
            parts=parts,
            batch=nobody,
            handlers=Handlers((), {}),
            load=self.load,
            undo=undo,
            workers=workers,
        )


def _hints(error: NbopsError | None) -> str:
    problems = error.problems if error else ()
    return "\n".join(dict.fromkeys(one.hint for one in problems if one.hint))


def _anew(run: str) -> str:
    return f"mend the cause and begin a new run; `nbops show {run} -v` has this one by the minute"


def _not_undone(why: str, changed: Sequence[str]) -> RolledBack:
    """The end of an abort that met no `rollback:`; what was changed by then is still there."""
    if not changed:
        return RolledBack(f"{why}: nothing had to be undone")
    return RolledBack(
        f"{why}. What it changed on {', '.join(changed)} stays: no `rollback:` undoes it, and the"
        " same command goes on from there"
    )
