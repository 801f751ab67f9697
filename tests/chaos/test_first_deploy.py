"""The first deploy, on machines that have nothing yet, killed at points; then resumed, or aborted
and begun anew.

There is nothing to go back to: the next deploy goes on with what an abort leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.machines import Chaos, Look
from tests.chaos.play import killed
from tests.chaos.series import Point, names, take, tally, wanted
from tests.chaos.test_machines import NOTHING, SEALED, miscounted, other

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


@dataclass
class FirstDeploy:
    """Machines that are emptied before each deploy, and how they look after one that nobody
    killed. What the app writes by itself, with a salt of its own, is not compared."""

    chaos: Chaos
    folder: Path
    end: Look | None = None
    points: list[str] = field(default_factory=list)

    def learn(self) -> None:
        """Deploy undisturbed, and remember how it ends."""
        self._empty()
        log = self.folder / "points"
        code, out = self._nbops("deploy", points=log)
        assert code == 0, out
        self.end, self.points = self.chaos.look(), names(log)

    def killed(self, _command: str, point: Point) -> str:
        """Kill it there, and come to its end all the same; gives what is wrong."""
        self._empty()
        code, said = self._nbops("deploy", at=point.at, journal=point.killed)
        if killed(code):
            code, said = self._go_on(point)
        if code:
            return f"exit code {code}\n{said}"
        wrong = self._wrong(self.chaos.look())
        return wrong and f"{wrong}\n{said}"

    def _go_on(self, point: Point) -> tuple[int, str]:
        said = []
        for at in (*point.again, ""):
            code, out = self.chaos.nbops(point.how, at=at, killed=point.killed)
            said.append(out)
            if not killed(code):
                break
        if SEALED in out:
            code, out = self.chaos.nbops("resume")
            said.append(out)
        elif NOTHING in out or (point.how == "abort" and not code):
            code, out = self._nbops("deploy")
            said.append(out)
        return code, "\n--\n".join(said)

    def _wrong(self, after: Look) -> str:
        assert self.end is not None
        then = {name: text for name, text in self.end.state.items() if name != "content of db"}
        wrong = other(after.state, then)
        if after.kept != self.end.kept:
            wrong += f" keeps {dict(after.kept)}, not {dict(self.end.kept)};"
        return wrong + miscounted(after.noted, self.end.noted)

    def _empty(self) -> None:
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
def test_a_first_deploy_that_was_killed_comes_to_the_same_end(first: FirstDeploy) -> None:
    take([tally("first deploy", first.points, 2)], first.killed)


@pytest.mark.lab
@pytest.mark.series
def test_first_deploys_killed_at_every_point(first: FirstDeploy) -> None:
    take([tally("first deploy", first.points, wanted(0))], first.killed)
