"""The first deploy, on machines that have nothing yet, killed at points; then resumed, or aborted,
after which they have nothing again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.machines import Chaos, Look
from tests.chaos.play import killed
from tests.chaos.series import Point, names, take, tally, wanted
from tests.chaos.test_machines import LAST, NOTHING, SEALED, miscounted, other
from tests.deploy.traces import DATABASES, TRACES, differ

START = """
for one in postgresql redis-server nginx; do
    ! systemctl cat $one >/dev/null 2>&1 || systemctl start $one
done
"""
KEEP = """
mkdir -p /var/tmp/bare && cd /var/tmp/bare
for folder in /etc/postgresql /etc/redis /etc/nginx; do
    [ ! -d $folder ] || [ -d .$folder ] || cp -a --parents $folder .
done
"""
BARE = """
set -e
if systemctl is-active --quiet docker; then
    docker ps --all --quiet | xargs -r docker rm --force
    docker network prune --force
    find /srv/nocobase/storage -mindepth 1 -delete
    rm -rf /opt/nocobase
fi >/dev/null 2>&1
if [ -d /etc/postgresql ]; then
    systemctl start postgresql
    for what in "DATABASE IF EXISTS nocobase WITH (FORCE)" "ROLE IF EXISTS nocobase"; do
        (cd / && runuser -u postgres -- psql -qc "DROP $what" 2>/dev/null)
    done
fi
rm -rf /var/lib/nbops /var/backups/nocobase ~/.nbops
for one in postgresql redis-server nginx; do
    ! systemctl cat $one >/dev/null 2>&1 || systemctl disable --quiet --now $one 2>/dev/null
done
rm -rf /var/lib/redis/*
for one in postgresql redis nginx; do
    [ ! -d /var/tmp/bare/etc/$one ] || { rm -rf /etc/$one && cp -a /var/tmp/bare/etc/$one /etc; }
done
echo empty
"""
ENVIRONMENT = "docker inspect --format '{{.Config.Env}}' $(docker ps --quiet)"


@dataclass
class FirstDeploy:
    """Machines that are emptied before each deploy; how they look then, and after a deploy that
    nobody killed, and what was noted of one that was undone at its last moment. What the app
    writes by itself, with a salt of its own, is not compared."""

    chaos: Chaos
    folder: Path
    end: Look | None = None
    bare: dict[str, str] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)
    undone: Counter[str] = field(default_factory=Counter)
    points: list[str] = field(default_factory=list)
    clean: bool = False  # an abort left nothing, as was seen

    def learn(self) -> None:
        """Deploy undisturbed, and remember how it ends."""
        self.empty()
        self.bare, self.served = self.chaos.on(TRACES), self._served()
        code, out = self._nbops("deploy", at=LAST)
        assert killed(code), out
        code, out = self.chaos.nbops("abort")
        assert code == 0, out
        self.undone = self.chaos.noted()
        wrong = self._left()
        assert not wrong, wrong
        self.empty()
        log = self.folder / "points"
        code, out = self._nbops("deploy", points=log)
        assert code == 0, out
        self.end, self.points = self.chaos.look(), names(log)

    def killed(self, _command: str, point: Point) -> str:
        """Kill it there, and come to its end all the same; gives what is wrong."""
        self.empty()
        how, (code, said) = "resume", self._nbops("deploy", at=point.at, journal=point.killed)
        if killed(code):
            how, code, said = self._go_on(point)
        if code:
            return f"exit code {code}\n{said}"
        wrong = self._wrong(self.chaos.look()) if how == "resume" else self._left()
        self.clean = how == "abort" and not wrong
        return wrong and f"{how}: {wrong}\n{said}"

    def _go_on(self, point: Point) -> tuple[str, int, str]:
        how, said = point.how, []
        for at in (*point.again, ""):
            code, out = self.chaos.nbops(how, at=at, killed=point.killed)
            said.append(out)
            if not killed(code):
                break
        if SEALED in out:
            how, code = "resume", self._finish(point, said)
        elif NOTHING in out:  # killed before its first word in the journal, or after its last
            how, code = "resume" if self._recorded() else "abort", 0
        return how, code, "\n--\n".join(said)

    def _finish(self, point: Point, said: list[str]) -> int:
        """Go on to the end; whoever is killed on the way to it may not be undone either."""
        for at in (*("new" for _ in point.again), ""):
            code, out = self.chaos.nbops("resume", at=at, killed=point.killed)
            said.append(out)
            if not killed(code):
                return code
            _, out = self.chaos.nbops("abort")
            said.append(out)
            if NOTHING in out:  # that was its last word
                return 0
            if SEALED not in out:
                return code
        return code

    def _recorded(self) -> bool:
        look = "ls /var/lib/nbops/*/releases/000001.json 2>/dev/null || true"
        return bool(self.chaos.on(look, ("node1",))["node1"])

    def _left(self) -> str:
        wrong = differ(self.chaos.on(TRACES), self.bare)
        if twice := self.chaos.noted() - self.undone:
            wrong += f" twice {dict(twice)};"
        return wrong + differ(self._served(), self.served)

    def _served(self) -> dict[str, str]:
        said = self.chaos.on(DATABASES, ("db",))
        self.chaos.on("systemctl stop postgresql", ("db",))
        return said

    def _wrong(self, after: Look) -> str:
        assert self.end is not None
        then = {name: text for name, text in self.end.state.items() if name != "content of db"}
        wrong = other(after.state, then)
        if after.kept != self.end.kept:
            wrong += f" keeps {dict(after.kept)}, not {dict(self.end.kept)};"
        return wrong + miscounted(after.noted, self.end.noted)

    def empty(self) -> None:
        """Machines as they were before any deploy."""
        clean, self.clean = self.clean, False
        if clean:
            self.chaos.forget()
            return
        said = self.chaos.on(BARE)
        assert set(said.values()) == {"empty\n"}, said
        self.chaos.forget()

    def _nbops(
        self, *command: str, at: str = "", points: Path | None = None, journal: Path | None = None
    ) -> tuple[int, str]:
        arguments = (*command, str(self.chaos.cluster.inventory))
        more = {} if journal is None else {"killed": journal}
        return self.chaos.nbops(*arguments, at=at, points=points, **more)


@pytest.fixture(scope="module")
def first(bare: Chaos, tmp_path_factory: pytest.TempPathFactory) -> FirstDeploy:
    bare.on(START)
    bare.listen()
    bare.on(KEEP)
    world = FirstDeploy(bare, tmp_path_factory.mktemp("first"))
    world.learn()
    return world


@pytest.mark.lab
def test_a_first_deploy_that_was_killed_comes_to_its_end_or_leaves_nothing(
    first: FirstDeploy,
) -> None:
    take([tally("first deploy", first.points, 2)], first.killed)


@pytest.mark.lab
@pytest.mark.parametrize("env", [{}, {"EXTRA": "1"}], ids=["alone", "beside one that restarts"])
def test_a_node_that_joined_is_gone_when_the_deploy_is_aborted(
    first: FirstDeploy, env: dict[str, str]
) -> None:
    chaos = first.chaos
    first.empty()
    where = ("all", "children", "app", "hosts")
    alone = {"node1": {"ansible_host": chaos.cluster.address("node1")}}
    code, out = chaos.nbops("deploy", str(chaos.cluster.edited("one.yml", *where, value=alone)))
    assert code == 0, out
    before = chaos.on(TRACES)
    both = chaos.cluster.edited("both.yml", "all", "vars", "nocobase", "env", value=env)
    code, out = chaos.nbops("deploy", str(both), at=LAST)
    assert killed(code), out
    knows = chaos.on("cat /etc/nginx/conf.d/nbops-*", ("lb",))["lb"]
    assert f"{chaos.cluster.address('node2')}:13000" in knows
    assert ("EXTRA=1" in chaos.on(ENVIRONMENT, ("node1",))["node1"]) == bool(env)
    code, out = chaos.nbops("abort")
    assert code == 0, out
    assert not (wrong := differ(chaos.on(TRACES), before)), wrong
    assert "EXTRA" not in chaos.on(ENVIRONMENT, ("node1",))["node1"]


@pytest.mark.lab
@pytest.mark.series
def test_first_deploys_killed_at_every_point(first: FirstDeploy) -> None:
    take([tally("first deploy", first.points, wanted(0))], first.killed)
