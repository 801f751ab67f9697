"""The scripts that keep files and put them back, run in a real shell on this computer."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nbops.nocobase.backups import Part
from nbops.nocobase.steps.backup_files import archive_script
from nbops.nocobase.steps.restore_files import put_back_script, take_back_script
from tests.nocobase.test_backups import manifest


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A node's storage with a plugin, a file of a user and a socket."""
    place = tmp_path / "it's storage"
    (place / "plugins" / "shop").mkdir(parents=True)
    (place / "plugins" / "shop" / "index.js").write_text("old")
    (place / "picture.png").write_text("picture")
    return place


def kept(storage: Path, wanted: Path) -> Path:
    """An archive of `wanted`."""
    folder = storage.parent / ".partial-one-files"
    script = archive_script(str(folder), "files.tar.gz", [str(wanted).lstrip("/")], "gzip")
    done = run(script)
    assert done.returncode == 0, done.stderr
    archive = folder / "files.tar.gz"
    told = dict(line.split() for line in done.stdout.splitlines() if not line.startswith("at "))
    assert int(told["size"]) == archive.stat().st_size
    assert told["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    return archive


def put_back(storage: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    record = replace(manifest(what="files"), parts=(Part("files.tar.gz", 1, digest),))
    return run(put_back_script(record, str(archive), str(storage), f"{storage}/plugins-replaced"))


def test_plugins_come_back_and_what_users_uploaded_since_stays(storage: Path) -> None:
    archive = kept(storage, storage)
    (storage / "plugins" / "shop" / "index.js").write_text("new")
    (storage / "later.png").write_text("later")
    (storage / "picture.png").write_text("changed")
    assert put_back(storage, archive).returncode == 0
    assert (storage / "plugins" / "shop" / "index.js").read_text() == "old"
    assert (storage / "plugins-replaced" / "shop" / "index.js").read_text() == "new"
    assert (storage / "later.png").read_text() == "later"
    assert (storage / "picture.png").read_text() == "changed"


@pytest.mark.parametrize("linked", ["storage", "plugins"])
def test_what_a_link_leads_to_is_kept(storage: Path, linked: str) -> None:
    folder = storage if linked == "storage" else storage / "plugins"
    folder.rename(storage.parent / "mount")
    folder.symlink_to(storage.parent / "mount")
    (storage / "plugins" / "shop" / "link").symlink_to("./index.js")
    archive = kept(storage, storage if linked == "storage" else folder)
    (storage / "plugins" / "shop" / "index.js").write_text("new")
    assert put_back(storage, archive).returncode == 0
    assert (storage / "plugins" / "shop" / "index.js").read_text() == "old"
    assert (storage / "plugins" / "shop" / "link").readlink() == Path("./index.js")


def test_plugins_that_were_replaced_come_back_however_far_it_had_come(storage: Path) -> None:
    plugins, replaced = storage / "plugins", storage / "plugins-replaced"
    archive = kept(storage, storage)
    (plugins / "shop" / "index.js").write_text("new")
    assert put_back(storage, archive).returncode == 0
    for stopped_between in (False, True):
        if stopped_between:
            plugins.rename(replaced)
        script = take_back_script(str(storage), str(replaced))
        for _ in range(2):
            assert run(script).returncode == 0
            assert (plugins / "shop" / "index.js").read_text() == "new"
        assert sorted(one.name for one in storage.iterdir()) == ["picture.png", "plugins"]


def test_a_machine_that_stopped_before_the_plugins_were_in_place_has_them_afterwards(
    storage: Path,
) -> None:
    plugins, replaced = storage / "plugins", storage / "plugins-replaced"
    archive = kept(storage, storage)
    (plugins / "shop" / "index.js").write_text("new")
    assert put_back(storage, archive).returncode == 0
    plugins.rename(storage / ".plugins-nbops-new")
    assert put_back(storage, archive).returncode == 0
    assert (plugins / "shop" / "index.js").read_text() == "old"
    assert (replaced / "shop" / "index.js").read_text() == "new"


def test_a_plugin_that_was_not_there_goes(storage: Path) -> None:
    archive = kept(storage, storage / "picture.png")
    assert put_back(storage, archive).returncode == 0
    assert list((storage / "plugins").iterdir()) == []
    assert (storage / "plugins-replaced" / "shop").is_dir()


def test_an_archive_that_was_changed_is_not_unpacked(storage: Path) -> None:
    archive = kept(storage, storage)
    record = replace(manifest(what="files"), parts=(Part("files.tar.gz", 1, "0" * 64),))
    script = put_back_script(record, str(archive), str(storage), f"{storage}/plugins-replaced")
    assert run(script).returncode != 0
    assert (storage / "plugins" / "shop" / "index.js").exists()


def test_sockets_are_left_out_and_no_reason_to_fail(storage: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(storage / "gateway.sock"))
        archive = kept(storage, storage)
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True)
    assert "picture.png" in listed.stdout
    assert "gateway.sock" not in listed.stdout


def test_a_node_without_any_of_the_files_has_an_empty_archive(storage: Path) -> None:
    assert kept(storage, storage / "nothing").stat().st_size > 0


def test_what_an_earlier_run_left_half_done_goes(storage: Path) -> None:
    left = storage.parent / ".partial-earlier-files"
    left.mkdir()
    other = storage.parent / ".partial-earlier-database"
    other.mkdir()
    kept(storage, storage)
    assert not left.exists()
    assert other.exists()


def test_a_failed_archive_leaves_nothing(storage: Path) -> None:
    folder = storage.parent / ".partial-one-files"
    script = archive_script(str(folder), "files.tar.gz", ["etc/hostname"], "gzip")
    assert run(script.replace("gzip -1", "false")).returncode != 0
    assert not folder.exists()
