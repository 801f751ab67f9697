"""What is kept of a host before a deploy, and put back: the scripts are run here, by a real
shell. systemctl is a fake that notes what it was told; the real one is asked in tests/chaos."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from nbops.nocobase import kept
from nbops.nocobase.kept import Before, Service, back_script, forget_script, keep_script

SYSTEMCTL = """#!/bin/sh
case "$1" in
is-active | is-enabled) shift; [ "$1" = --quiet ] && shift; [ -e "$STATE/$1" ] ;;
cat) : ;;
*) echo "$*" >>"$STATE/told" ;;
esac
"""


@dataclass
class Host:
    """A folder that stands for a host; its service may run."""

    root: Path

    @property
    def before(self) -> Before:
        return Before(
            files=[str(self.root / "app" / "node.env")],
            folders=[str(self.root / "app")],
            services=[
                Service(
                    "db.service", "boot.service", [str(self.root / "db")], [str(self.root / "hba")]
                )
            ],
        )

    def sh(self, script: str) -> None:
        env = {"PATH": f"{self.root / 'bin'}:{os.environ['PATH']}", "STATE": str(self.root)}
        done = subprocess.run(
            ["sh"], input=script, text=True, env=env, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def keep(self, run: str = "r1") -> None:
        self.sh(keep_script("demo", run, self.before))

    def back(self, run: str = "r1", *, files: bool = True) -> None:
        self.sh(back_script("demo", run, self.before, files=files))

    def write(self, **texts: str) -> None:
        (self.root / "app").mkdir(exist_ok=True)
        for name, text in texts.items():
            path = self.root / ("app/node.env" if name == "env" else name)
            path.write_text(text)

    def read(self) -> dict[str, str]:
        paths = [*self.root.glob("app/*"), *self.root.glob("db*"), *self.root.glob("hba*")]
        return {path.name: path.read_text() for path in paths}

    def told(self) -> list[str]:
        path = self.root / "told"
        return path.read_text().splitlines() if path.exists() else []

    def kept(self) -> list[str]:
        return [path.name for path in (self.root / "state" / "demo").glob("*")]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(kept, "STATE_FOLDER", str(tmp_path / "state"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    (tmp_path / "state" / "demo").mkdir(parents=True)
    return Host(tmp_path)


def test_what_was_not_there_goes_and_what_was_there_comes_back(host: Host) -> None:
    (host.root / "hba").write_text("peer")
    host.keep()
    host.write(env="KEY=1", db="port 1", hba="all")
    host.back()
    assert host.read() == {"hba": "peer"}
    assert not (host.root / "app").exists()
    assert host.kept() == []


def test_it_comes_back_with_its_rights(host: Host) -> None:
    (host.root / "hba").write_text("peer")
    (host.root / "hba").chmod(0o640)
    host.keep()
    (host.root / "hba").unlink()
    host.write(hba="all")
    host.back()
    assert (host.root / "hba").stat().st_mode & 0o777 == 0o640


def test_what_is_kept_is_for_its_owner_only(host: Host) -> None:
    host.keep()
    (folder,) = (host.root / "state" / "demo").glob("*")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_to_keep_twice_keeps_what_was_first(host: Host) -> None:
    host.write(db="old")
    host.keep()
    host.write(db="new")
    host.keep()
    host.back()
    assert host.read()["db"] == "old"


def test_what_another_run_kept_is_nothing_to_go_back_to(host: Host) -> None:
    host.write(db="old")
    host.keep("r1")
    host.write(db="new")
    host.keep("r2")
    assert host.kept() == ["before-r2"]
    host.back("r1")
    assert host.read()["db"] == "new"


def test_where_nothing_was_kept_nothing_goes(host: Host) -> None:
    host.write(env="KEY=1", db="port 1")
    host.back()
    assert host.read() == {"node.env": "KEY=1", "db": "port 1"}
    assert host.told() == []


def test_a_folder_that_was_there_stays_and_so_does_one_that_is_not_empty(host: Host) -> None:
    (host.root / "app").mkdir()
    host.keep()
    host.write(env="KEY=1")
    host.back()
    assert (host.root / "app").is_dir()
    (host.root / "app").rmdir()
    host.keep()
    host.write(env="KEY=1")
    (host.root / "app" / "mine").touch()
    host.back()
    assert list(host.read()) == ["mine"]


def test_the_settings_of_a_node_can_stay(host: Host) -> None:
    host.keep()
    host.write(env="KEY=1", db="port 1")
    host.back(files=False)
    assert host.read() == {"node.env": "KEY=1"}


def test_a_server_that_did_not_run_is_stopped_and_stays_down(host: Host) -> None:
    host.keep()
    host.write(db="port 1")
    (host.root / "boot.service").touch()
    host.back()
    assert host.told() == ["stop db.service", "disable --quiet boot.service"]


@pytest.mark.parametrize(
    ("changed", "verb"),
    [({}, "start"), ({"hba": "all"}, "reload"), ({"hba": "all", "db": "port 1"}, "restart")],
)
def test_a_server_that_ran_goes_on_with_what_it_had(
    host: Host, changed: dict[str, str], verb: str
) -> None:
    host.write(db="port 0", hba="peer")
    for name in ("db.service", "boot.service"):
        (host.root / name).touch()
    host.keep()
    host.write(**changed)
    host.back()
    assert host.told() == [f"{verb} db.service"]


def test_who_is_killed_between_files_and_server_restarts_it_the_next_time(host: Host) -> None:
    host.write(db="port 0")
    (host.root / "db.service").touch()
    host.keep()
    host.write(db="port 1")
    script = back_script("demo", "r1", host.before)
    host.sh(script[: script.index('if [ -e "$at"/')])
    assert host.told() == []
    host.back()
    assert host.told() == ["restart db.service"]


def test_what_the_list_names_and_was_not_looked_for_stays(host: Host) -> None:
    (host.root / "hba").write_text("peer")
    host.sh(keep_script("demo", "r1", Before()))
    host.back()
    assert host.read() == {"hba": "peer"}


def test_a_part_of_what_was_kept_is_taken_for_nothing(host: Host) -> None:
    host.write(db="old")
    host.keep()
    folder = host.root / "state" / "demo"
    (folder / "before-r1").rename(folder / "before-r1.gone")
    host.write(db="new")
    host.back()
    assert host.read()["db"] == "new"
    host.keep()
    assert host.kept() == ["before-r1"]


def test_what_is_of_no_use_any_more_is_forgotten(host: Host) -> None:
    host.write(db="old")
    host.keep()
    (host.root / "state" / "demo" / "lock").touch()
    host.sh(forget_script("demo"))
    assert host.kept() == ["lock"]
