"""Upgrade, rollback and deploy of a cluster, killed at points, then resumed or aborted.

An upgrade that is killed and resumed is followed by a rollback that is killed, and so on: each
run begins where the last one ended.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.machines import NEW, Chaos
from tests.chaos.play import killed
from tests.chaos.series import Point, Tally, points, wanted

NOTHING = "no run from this computer was interrupted"
SEALED = "had given users the cluster back"


@dataclass
class End:
    """What is so after a run that nobody killed: the state, and how much more is kept and was
    noted than before it."""

    state: dict[str, str]
    kept: Counter[str]
    noted: Counter[str]
    points: int


@dataclass
class World:
    """The cluster, and how its runs end when they are not killed."""

    chaos: Chaos
    folder: Path
    ends: dict[str, End] = field(default_factory=dict)

    def learn(self, command: str) -> End:
        """Run a command undisturbed, and remember how it ends."""
        arguments = self.chaos.arguments(command)
        kept, noted = self.chaos.kept(), self.chaos.noted()
        passed = self.folder / f"points-{len(self.ends)}"
        code, out = self.chaos.nbops(*arguments, points=passed)
        assert code == 0, out
        self.ends[_name(arguments)] = End(
            self.chaos.state(),
            _more(self.chaos.kept(), kept),
            _more(self.chaos.noted(), noted),
            len(passed.read_text().splitlines()),
        )
        return self.ends[_name(arguments)]

    def check(self, point: Point) -> str:
        """Kill an upgrade, or when that one is done a rollback, there; what is then wrong."""
        done = self.chaos.state()["version for visitors"] == NEW
        return self.killed("rollback" if done else "upgrade", point)

    def killed(self, command: str, point: Point) -> str:
        """Kill a command there, and go on; gives what is wrong, empty when nothing is."""
        chaos, arguments = self.chaos, self.chaos.arguments(command)
        before, kept, noted = chaos.state(), chaos.kept(), chaos.noted()
        code, out = chaos.nbops(*arguments, at=point.at)
        how = point.how if killed(code) else "resume"
        if killed(code):
            code, out = chaos.nbops(how, at=point.again)
        if killed(code):
            code, out = chaos.nbops(how)
        if SEALED in out:
            how = "resume"
            code, out = chaos.nbops(how)
        kept, noted = _more(chaos.kept(), kept), _more(chaos.noted(), noted)
        if NOTHING in out:  # killed before its first word in the journal, or after its last
            code = 0
            ended = kept == self.ends[_name(arguments)].kept
            how = "resume" if ended else "abort"
        wrong = f" exit code {code};" if code else ""
        if how == "resume":
            wrong += self._as_undisturbed(self.ends[_name(arguments)], kept, noted)
        else:
            wrong += self._as_before(before, self.ends[_name(arguments)], kept, noted)
        return wrong and f"{command}: {wrong}\n{out}"

    def _as_undisturbed(self, end: End, kept: Counter[str], noted: Counter[str]) -> str:
        wrong = _other(self.chaos.state(), end.state)
        if kept != end.kept:
            wrong += f" keeps {dict(kept)}, not {dict(end.kept)};"
        if noted != end.noted:
            wrong += f" twice {noted - end.noted}, never {end.noted - noted};"
        return wrong

    def _as_before(
        self, before: dict[str, str], end: End, kept: Counter[str], noted: Counter[str]
    ) -> str:
        wrong = _other(self.chaos.state(), before)
        releases = {name: number for name, number in kept.items() if name.endswith("releases")}
        if releases:
            wrong += f" more releases {releases};"
        if noted["db: dumps"] > end.noted["db: dumps"]:
            wrong += " dumped twice;"
        return wrong


def _name(arguments: tuple[str, ...]) -> str:
    return " ".join((arguments[0], Path(arguments[1]).name))


def _more(now: Counter[str], before: Counter[str]) -> Counter[str]:
    more = Counter(now)
    more.subtract(before)
    return Counter({name: number for name, number in more.items() if number})


def _other(now: dict[str, str], then: dict[str, str]) -> str:
    parts = [name for name in then if now[name] != then[name]]
    return "".join(f" {name} is {now[name]!r}, not {then[name]!r};" for name in parts)


@pytest.fixture(scope="module")
def world(chaos: Chaos, tmp_path_factory: pytest.TempPathFactory) -> World:
    code, out = chaos.nbops("deploy", str(chaos.cluster.inventory))
    assert code == 0, out
    chaos.listen()
    return World(chaos, tmp_path_factory.mktemp("points"))


@pytest.mark.lab
def test_a_killed_upgrade_is_finished_and_a_killed_rollback_undone(world: World) -> None:
    total = min(world.learn(command).points for command in ("upgrade", "rollback"))
    chosen = points(total, 1, how=("resume",)) + points(total, 1, how=("abort",))
    Tally("upgrade and rollback").take(iter(chosen), world.check)


@pytest.mark.lab
@pytest.mark.series
def test_upgrades_and_rollbacks_killed_at_every_point(world: World) -> None:
    total = max(world.learn(command).points for command in ("upgrade", "rollback"))
    chosen = points(total, wanted(0))
    both = [point for point in chosen for _ in range(2)]
    Tally("upgrade and rollback").take(iter(both), world.check)


@pytest.mark.lab
@pytest.mark.series
def test_deploys_killed_at_every_point(world: World) -> None:
    if world.chaos.state()["version for visitors"] == NEW:
        world.learn("rollback")
    total = max(world.learn("deploy").points for _ in range(3))
    chosen = points(total, wanted(0))
    Tally("deploy").take(iter(chosen), lambda point: world.killed("deploy", point))
