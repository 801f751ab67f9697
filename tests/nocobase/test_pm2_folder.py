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

from nbops.nocobase.plans import here
from nbops.nocobase.runtimes.api import NodePlan, Pull
from nbops.nocobase.runtimes.pm2 import Pm2
from tests.nocobase.npm_registry import registry
from tests.nocobase.test_pm2 import RUNTIME

Variables = Callable[..., Mapping[str, Any]]
PM2 = Pm2()

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="folders get an owner: root is needed")


@pytest.fixture
def plan(variables: Variables, tmp_path: Path) -> NodePlan:
    plan = here(variables(runtime=RUNTIME)).plan
    return replace(plan, home=str(tmp_path / "opt"), folder=str(tmp_path / "opt"), user="root")


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
        ["/bin/sh", "-c", PM2.image_script(plan)], capture_output=True, text=True, check=True
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
