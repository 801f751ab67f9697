"""Upgrade, rollback, deploy and restore of a cluster, killed at points, then resumed or aborted.

An upgrade that is killed and resumed is followed by a rollback that is killed, and so on: each
run begins where the last one ended.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.machines import NEW, Chaos, Look
from tests.chaos.play import killed
from tests.chaos.series import Point, Tally, names, take, tally, wanted
from tests.chaos.watch import Watch, watched

NOTHING = "no run from this computer was interrupted"
SEALED = "had let users in"
# The last moment at which a run can be undone: before it lets visitors in, or is recorded.
LAST = "~(run, sealed "
BRINGS_BACK = ("rollback", "restore")


@dataclass
class End:
    """What is so after a run that nobody killed: how the cluster looks, how much more is kept
    than before, and, once `World.learn_undone` was asked, what a run noted that was undone."""

    look: Look
    kept: Counter[str]
    points: list[str]
    undone: Counter[str] | None = None


@dataclass
class World:
    """The cluster, and how its runs end when they are not killed."""

    chaos: Chaos
    folder: Path
    ends: dict[str, End] = field(default_factory=dict)
    version: str = ""  # what visitors got after the last run

    def learn(self, command: str) -> End:
        """Run a command undisturbed, and remember how it ends."""
        arguments = self.chaos.arguments(command)
        self.chaos.forget()
        before = self.chaos.look()
        passed = self.folder / f"points-{time.monotonic_ns()}"
        code, out = self.chaos.nbops(*arguments, points=passed)
        assert code == 0, out
        look = self.chaos.look()
        self.version = look.version
        known = self.ends.get(_name(arguments))
        end = End(
            look,
            _more(look.kept, before.kept),
            names(passed),
            known.undone if known else None,
        )
        self.ends[_name(arguments)] = end
        return end

    def learn_undone(self, command: str) -> None:
        """Have a run undone at the last moment, and remember what was noted of it."""
        arguments = self.chaos.arguments(command)
        self.chaos.forget()
        before = self.chaos.look()
        code, out = self.chaos.nbops(*arguments, at=LAST)
        assert killed(code), out
        code, out = self.chaos.nbops("abort")
        assert code == 0, out
        look = self.chaos.look()
        assert not other(look.state, before.state)
        if end := self.ends.get(_name(arguments)):
            end.undone = look.noted

    def choose(self, open_ones: list[Tally]) -> Tally:
        """An upgrade, or when that one is done a rollback; whose points are all taken is run
        undisturbed, to get to the other one's."""
        command = "rollback" if self.version == NEW else "upgrade"
        found = next((one for one in open_ones if one.name == command), None)
        if found is None:
            self.learn(command)
        return found or open_ones[0]

    def killed(self, command: str, point: Point) -> str:
        """Kill a command there, and go on; gives what is wrong, empty when nothing is."""
        chaos = self.chaos
        chaos.forget()
        if command in BRINGS_BACK:
            chaos.change(f"since the backup, {time.time_ns()}")
        arguments = chaos.arguments(command)
        with watched(chaos) as watch:
            before = chaos.look()
            how, code, out = self._run(arguments, point)
            after = chaos.look()
        self.version = after.version
        if NOTHING in out:  # killed before its first word in the journal, or after its last
            code = 0
            ended = _more(after.kept, before.kept) == self.ends[_name(arguments)].kept
            how = "resume" if ended else "abort"
        wrong = f" exit code {code};" if code else ""
        if how == "resume":
            wrong += self._as_undisturbed(self.ends[_name(arguments)], before, after)
        else:
            wrong += self._as_before(self.ends[_name(arguments)], before, after)
        wrong += watch.wrong(before.version, after.version)
        wrong += self._lost(watch, command, how)
        return wrong and f"{wrong}\n{out}\n{self._keep_journal()}"

    def _run(self, arguments: tuple[str, ...], point: Point) -> tuple[str, int, str]:
        """How it went on in the end, the last exit code, and all that was said."""
        code, out = self.chaos.nbops(*arguments, at=point.at, killed=point.killed)
        if not killed(code):
            return "resume", code, out
        how, said = point.how, [out]
        for at in (*point.again, ""):
            code, out = self.chaos.nbops(how, at=at, killed=point.killed)
            if not killed(code):
                break
            said.append(out)
        if SEALED in out:
            how = "resume"
            said.append(out)
            code, out = self.chaos.nbops(how)
        return how, code, "\n--\n".join([*said, out])

    def _lost(self, watch: Watch, command: str, how: str) -> str:
        restored = command in BRINGS_BACK and how == "resume"
        return watch.lost(self.chaos.notes(), restored=restored)

    def _as_undisturbed(self, end: End, before: Look, after: Look) -> str:
        wrong, kept = other(after.state, end.look.state), _more(after.kept, before.kept)
        if kept != end.kept:
            wrong += f" keeps {dict(kept)}, not {dict(end.kept)};"
        return wrong + miscounted(after.noted, end.look.noted)

    def _as_before(self, end: End, before: Look, after: Look) -> str:
        wrong, kept = other(after.state, before.state), _more(after.kept, before.kept)
        if more := {name: number for name, number in kept.items() if name.endswith("releases")}:
            wrong += f" more releases {more};"
        # Not known to the quick tests: then only of what the way back does not do as well.
        most = end.undone or Counter({"db: dumps": end.look.noted["db: dumps"]})
        noted = after.noted if end.undone else Counter({"db: dumps": after.noted["db: dumps"]})
        if twice := noted - most:
            wrong += f" twice {dict(twice)};"
        return wrong

    def _keep_journal(self) -> str:
        folder = self.chaos.cluster.home / ".local" / "state" / "nbops"
        kept = self.folder / f"journal-{time.monotonic_ns()}"
        if not folder.exists():
            return "there is no journal"
        shutil.copytree(folder, kept)
        return f"the journal is in {kept}"


def _name(arguments: tuple[str, ...]) -> str:
    return " ".join((arguments[0], Path(arguments[1]).name))


def _more(now: Counter[str], before: Counter[str]) -> Counter[str]:
    more = Counter(now)
    more.subtract(before)
    return Counter({name: number for name, number in more.items() if number})


def other(now: dict[str, str], then: dict[str, str]) -> str:
    """Which parts are not as they were then; empty when none is."""
    parts = [name for name in then if now[name] != then[name]]
    return "".join(f" {name} is {now[name]!r}, not {then[name]!r};" for name in parts)


def miscounted(now: Counter[str], then: Counter[str]) -> str:
    """What was noted more often, or less, than then; empty when nothing was."""
    wrong = f" twice {dict(twice)};" if (twice := now - then) else ""
    return wrong + (f" never {dict(never)};" if (never := then - now) else "")


@pytest.fixture(scope="module")
def world(chaos: Chaos, tmp_path_factory: pytest.TempPathFactory) -> World:
    # Then all upgrades but the first have an old backup to remove, and the same points.
    where = ("all", "vars", "nocobase", "backup")
    chaos.cluster.inventory = chaos.cluster.edited("chaos.yml", *where, value={"keep": 1})
    code, out = chaos.nbops("deploy", str(chaos.cluster.inventory))
    assert code == 0, out
    chaos.listen()
    chaos.change("it's \u201efirst\u201c | 50 %\nand more")
    return World(chaos, tmp_path_factory.mktemp("points"))


@pytest.mark.lab
def test_a_killed_upgrade_is_finished_and_a_killed_rollback_undone(world: World) -> None:
    points = {command: world.learn(command).points for command in ("upgrade", "rollback")}
    chosen = [
        tally("upgrade", points["upgrade"], 1, how=("resume",)),
        tally("rollback", points["rollback"], 1, how=("abort",)),
    ]
    take(chosen, world.killed)


@pytest.mark.lab
def test_a_rollback_and_a_restore_are_undone_up_to_their_last_moment(world: World) -> None:
    if world.chaos.look().version != NEW:
        world.learn("upgrade")
    world.learn_undone("rollback")
    world.learn("rollback")
    world.chaos.back_up()
    world.learn_undone("restore")


@pytest.mark.lab
@pytest.mark.series
def test_upgrades_and_rollbacks_killed_at_every_point(world: World) -> None:
    world.learn("upgrade")
    world.learn("rollback")
    chosen = []
    for command in ("upgrade", "rollback"):
        world.learn_undone(command)
        chosen.append(tally(command, world.learn(command).points, wanted(0)))
    take(chosen, world.killed, world.choose)


@pytest.mark.lab
@pytest.mark.series
def test_deploys_killed_at_every_point(world: World) -> None:
    _back_to_old(world)
    points = max((world.learn("deploy").points for _ in range(3)), key=len)
    for _ in range(2):
        world.learn_undone("deploy")
        world.learn("deploy")
    take([tally("deploy", points, wanted(0))], world.killed)


@pytest.mark.lab
@pytest.mark.series
def test_restores_killed_at_every_point(world: World) -> None:
    _back_to_old(world)
    world.chaos.back_up()
    points = world.learn("restore").points
    world.learn_undone("restore")
    take([tally("restore", points, wanted(0))], world.killed)


def _back_to_old(world: World) -> None:
    if world.chaos.look().version == NEW:
        world.learn("rollback")
