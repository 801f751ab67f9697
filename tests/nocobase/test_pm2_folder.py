"""The app folder of a version, made by the real script in a folder of the test's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbops.base.secret import Secret
from nbops.nocobase.plans import here
from nbops.nocobase.runtimes.api import NodePlan, Pull, Start
from nbops.nocobase.runtimes.pm2 import Pm2
from nbops.nocobase.runtimes.pm2_folder import UNITS
from tests.nocobase.npm_registry import registry
from tests.nocobase.test_pm2 import RUNTIME

Variables = Callable[..., Mapping[str, Any]]
PM2 = Pm2()

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="folders get an owner: root is needed")


@pytest.fixture
def plan(variables: Variables, tmp_path: Path) -> NodePlan:
    plan = here(variables(runtime=RUNTIME)).plan
    opt = str(tmp_path / "opt")
    return replace(plan, home=opt, folder=opt, user="root", storage=str(tmp_path / "storage"))


@pytest.fixture
def package(plan: NodePlan, tmp_path: Path) -> Path:
    return packed(tmp_path, "one", plan.version)


def packed(where: Path, name: str, version: str) -> Path:
    """A packed app folder in a folder of its own, with what an app folder must have."""
    app = where / name / "nocobase"
    (app / "node_modules" / ".bin").mkdir(parents=True)
    (app / "node_modules" / "@nocobase" / "app").mkdir(parents=True)
    (app / "node_modules" / ".bin" / "nocobase").write_text("")
    (app / "node_modules" / "@nocobase" / "app" / "package.json").write_text(f'"{version}"')
    (app / "package.json").write_text(json.dumps({"name": name}))
    (app / ".env").write_text("APP_KEY=of-the-packer")
    pack = where / f"{name}.tar.gz"
    subprocess.run(["tar", "-C", app.parent, "-czf", pack, "nocobase"], check=True, timeout=30)
    return pack


def make(plan: NodePlan, package: Path | None) -> subprocess.CompletedProcess[str]:
    there = replace(plan, package=str(package or ""))
    script = PM2.pull_script(there, Pull(staged=str(package or "")))
    return subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, timeout=1500
    )


def mark(plan: NodePlan) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", PM2.image_script(plan)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return PM2.read_image(done.stdout).digest


def only(apps: Path, version: str) -> bool:
    """Whether a folder holds one build of one version, its link, and nothing else."""
    build = (apps / version).resolve(strict=True)
    return {path.name for path in apps.iterdir()} == {version, build.name}


@root_only
def test_a_packed_folder_becomes_the_versions_folder(plan: NodePlan, package: Path) -> None:
    assert mark(plan) == ""
    done = make(plan, package)
    assert done.returncode == 0, done.stderr
    folder = Path(plan.home) / "apps" / plan.version
    assert (folder / "package.json").is_file()
    assert (folder / ".env.e2e").is_file()
    assert not (folder / ".env").exists()
    assert mark(plan).startswith("app:")
    assert only(folder.parent, plan.version)


@root_only
def test_the_same_app_has_the_same_mark_and_another_has_not(
    plan: NodePlan, package: Path, tmp_path: Path
) -> None:
    make(plan, package)
    first = mark(plan)
    make(plan, package)
    assert mark(plan) == first
    folder = Path(plan.home) / "apps" / plan.version
    before = folder.resolve()
    make(plan, packed(tmp_path, "two", "2.2.16"))
    assert mark(plan) not in {"", first}
    assert folder.resolve() != before
    assert only(folder.parent, plan.version)


@root_only
def test_a_version_whose_name_begins_alike_stays(plan: NodePlan, package: Path) -> None:
    make(replace(plan, image=f"{plan.image}-beta"), package)
    make(plan, package)
    apps = Path(plan.home) / "apps"
    assert (apps / f"{plan.version}-beta" / "package.json").is_file()


@root_only
def test_what_is_no_app_folder_leaves_the_old_one(
    plan: NodePlan, package: Path, tmp_path: Path
) -> None:
    make(plan, package)
    first = mark(plan)
    (tmp_path / "empty").mkdir()
    pack = tmp_path / "empty.tar.gz"
    subprocess.run(["tar", "-C", tmp_path, "-czf", pack, "empty"], check=True, timeout=30)
    done = make(plan, pack)
    assert done.returncode == 1
    assert "no app folder" in done.stderr
    assert mark(plan) == first
    assert only(Path(plan.home) / "apps", plan.version)


@root_only
def test_a_package_of_another_checksum_is_refused(plan: NodePlan, package: Path) -> None:
    right = hashlib.sha256(package.read_bytes()).hexdigest()
    done = make(replace(plan, sha256="0" * 64), package)
    assert done.returncode == 1
    assert "another checksum" in done.stderr
    assert make(replace(plan, sha256=right), package).returncode == 0


@root_only
@pytest.mark.parametrize("name", ["a$(touch gone)b", "a`touch gone`b", "a'b c", 'a"b'])
def test_a_packages_name_is_data_where_its_unpacker_is_missing(
    plan: NodePlan, package: Path, tmp_path: Path, name: str
) -> None:
    there = replace(plan, package=name)
    script = PM2.pull_script(there, Pull(staged=str(package))).replace("how=gzip", "how=no-gzip")
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert f"no-gzip is needed to unpack {name}: apt-get" in done.stderr
    assert not list(tmp_path.rglob("gone"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of root's with a file in it, to which a link leads."""
    (tmp_path / "victim" / "node_modules" / ".bin").mkdir(parents=True)
    (tmp_path / "victim" / "node_modules" / ".bin" / "nocobase").write_text("")
    (tmp_path / "victim" / "package.json").write_text("root's")
    return tmp_path / "victim"


def repacked(where: Path, change: Callable[[Path], None]) -> Path:
    """The packed folder `one` after a change to its app folder."""
    change(where / "one" / "nocobase")
    pack = where / "one.tar.gz"
    subprocess.run(["tar", "-C", where / "one", "-czf", pack, "."], check=True, timeout=30)
    return pack


@root_only
@pytest.mark.parametrize("name", [".env.e2e", ".env.test", ".nbops-mark"])
@pytest.mark.usefixtures("package")
def test_root_writes_through_no_link_in_what_came(
    plan: NodePlan, victim: Path, tmp_path: Path, name: str
) -> None:
    def linked(app: Path) -> None:
        (app / name).symlink_to(victim / "new")

    done = make(plan, repacked(tmp_path, linked))
    assert done.returncode == 0, done.stderr
    assert not (victim / "new").exists()
    assert mark(plan).startswith("app:")


@root_only
@pytest.mark.usefixtures("package")
def test_a_link_is_no_app_folder(plan: NodePlan, victim: Path, tmp_path: Path) -> None:
    def linked(app: Path) -> None:
        shutil.rmtree(app)
        app.symlink_to(victim)

    before = {path.name for path in victim.iterdir()}
    done = make(replace(plan, user="nobody"), repacked(tmp_path, linked))
    assert done.returncode == 1
    assert "no app folder" in done.stderr
    assert {path.name for path in victim.iterdir()} == before
    assert victim.stat().st_uid == 0


@root_only
@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_the_folder_is_the_users(plan: NodePlan, package: Path, owner: str) -> None:
    make(replace(plan, user=owner), package)
    folder = Path(plan.home) / "apps" / plan.version
    assert {path.owner() for path in (folder.resolve(), *folder.rglob("*"))} == {owner}
    assert Path(plan.home, "apps").owner() == "root"


def forged(folder: Path, how: str) -> None:
    """What the app can make of its folder's mark."""
    file = folder / ".nbops-mark"
    text = file.read_text()
    file.unlink()
    if how == "a pipe":
        os.mkfifo(file)
    elif how == "a link":
        (folder / "secret").write_text("of root")
        file.symlink_to(folder / "secret")
    else:
        file.write_text(how.replace("MARK", text.strip()))


FORGED = (
    "a pipe",
    "a link",
    "",
    "app:" + "0" * 64,
    "x/;e touch gone;s/a/",
    "MARK/;e touch gone;s/a/",
    "x\\n[Service]\\nUser=root",
)


@root_only
@pytest.mark.parametrize("how", FORGED)
def test_a_mark_that_the_app_forged_is_none(plan: NodePlan, package: Path, how: str) -> None:
    make(plan, package)
    right = mark(plan)
    forged(Path(plan.home) / "apps" / plan.version, how)
    assert mark(plan) == ""
    done, unit = start(plan)
    assert done.returncode == 1
    assert "has no mark of nbops" in done.stderr
    assert not unit.exists()
    assert not Path(plan.folder, "gone").exists()
    make(plan, package)
    assert mark(plan) == right


@root_only
def test_a_start_writes_the_mark_into_the_unit(plan: NodePlan, package: Path) -> None:
    make(plan, package)
    done, unit = start(plan)
    assert done.returncode == 0, done.stderr
    build = (Path(plan.home) / "apps" / plan.version).resolve()
    assert f"X-Image={mark(plan)}\n" in unit.read_text()
    assert f"WorkingDirectory={build}\n" in unit.read_text()


@root_only
def test_of_a_forged_mark_nothing_but_a_mark_reaches_the_unit(
    plan: NodePlan, package: Path
) -> None:
    make(plan, package)
    right = mark(plan)
    forged(Path(plan.home) / "apps" / plan.version, "x\ny/e touch gone/\nMARK\n[Service]\n")
    _, unit = start(plan)
    assert f"X-Image={right}\nX-Conf" in unit.read_text()


def start(plan: NodePlan) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Runs the script of a start, with units in a folder of the test's own; gives the unit."""
    units, programs = Path(plan.home) / "units", Path(plan.home) / "programs"
    for folder in (units, programs, Path(plan.storage)):
        folder.mkdir(exist_ok=True)
    (programs / "systemctl").write_text("#!/bin/sh\n")
    (programs / "systemctl").chmod(0o755)
    for file in PM2.files(plan):
        content = file.content
        Path(file.path).write_text(content.reveal() if isinstance(content, Secret) else content)
    done = subprocess.run(
        ["/bin/sh", "-c", PM2.start_script(plan, Start.NODE).replace(UNITS, str(units))],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done, units / f"{plan.name}.service"


@root_only
@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_npm_makes_the_folder_by_the_hosts_own_settings(
    plan: NodePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(plan.version) as address:
        monkeypatch.setenv("npm_config_registry", address)
        done = make(plan, None)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(plan.home) / "apps" / plan.version
    app = json.loads((folder / "package.json").read_text())
    called = json.loads((folder / "yarn.lock").read_text())
    assert app["flags"] == ["--skip-dev-dependencies", "-a", "-e", "APP_ENV=production"]
    assert app["resolutions"] == {"async": "3", "xlsx": "0.18.5"}
    assert called["registry"] == address
    assert called["args"] == ["install", "--production", "--ignore-engines", "--non-interactive"]
    assert (folder / "node_modules" / ".bin" / "yarn").is_file()
    assert not (folder / ".env").exists()
    assert only(folder.parent, plan.version)


@root_only
@pytest.mark.series
def test_the_real_app_comes_from_the_package_registry(plan: NodePlan) -> None:
    done = make(plan, None)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    folder = Path(plan.home) / "apps" / plan.version
    app = json.loads((folder / "node_modules/@nocobase/app/package.json").read_text())
    assert app["version"] == plan.version
    for program in ("nocobase", "pm2-runtime", "yarn"):
        assert (folder / "node_modules" / ".bin" / program).exists()
    assert only(folder.parent, plan.version)
