"""A recipe becomes a layer."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from nbops.base.errors import LabError
from nbops.lab.images import pack
from nbops.lab.images.oci import PackedLayer
from nbops.lab.images.recipes import File

pytestmark = pytest.mark.lab

FILES = {"/etc/motd": File("hello\n"), "/bin/go": File("#!/bin/sh\n", 0o755)}
RECIPE = 'mkdir "$ROOT/etc"; echo "$GREETING" > "$ROOT/etc/greeting"; cp -R "$FILES/bin" "$ROOT"'


def packed_in(place: Path, script: str = RECIPE) -> tuple[Path, PackedLayer]:
    place.mkdir()
    out = pack.build(
        script,
        FILES,
        place,
        {"GREETING": "good day"},
        name="test",
        log=place / "log",
        deadline=60,
    )
    layer = pack.packed(out)
    assert layer is not None
    return out / pack.LAYER_FILE, layer


def test_a_layer_bears_the_digests_of_its_file_and_of_the_tar_in_it(tmp_path: Path) -> None:
    file, layer = packed_in(tmp_path / "a")
    tar = subprocess.run(["zstd", "-dc", file], capture_output=True, check=True).stdout
    assert layer.digest == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    assert layer.size == file.stat().st_size


def test_a_layer_holds_what_the_recipe_made_and_the_files_beside(tmp_path: Path) -> None:
    file, _ = packed_in(tmp_path / "a")
    tree = tmp_path / "tree"
    tree.mkdir()
    subprocess.run(["tar", "--use-compress-program=zstd", "-xf", file, "-C", tree], check=True)
    assert (tree / "etc/greeting").read_text() == "good day\n"
    assert (tree / "etc/motd").read_text() == "hello\n"
    assert (tree / "bin/go").stat().st_mode & 0o777 == 0o755
    assert tree.stat().st_mode & 0o777 == 0o755


def test_the_same_recipe_makes_the_same_layer(tmp_path: Path) -> None:
    assert packed_in(tmp_path / "a")[1] == packed_in(tmp_path / "b")[1]


def test_a_recipe_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="the shop is closed") as told:
        packed_in(tmp_path / "a", "echo the shop is closed >&2; exit 3")
    assert "log" in (told.value.problems[0].hint or "")


def test_a_folder_without_a_layer_has_none(tmp_path: Path) -> None:
    assert pack.packed(tmp_path) is None
