"""Which layers make which image, and what their keys depend on."""

from __future__ import annotations

import dataclasses
import json

import pytest

from nbops.base.errors import LabError
from nbops.lab.images.adapters import ADAPTER_PLUGINS
from nbops.lab.images.plan import Layer, plan
from nbops.lab.images.recipes import File


def test_the_first_version_of_nocobase_is_a_base_the_app_and_the_labs_adapters() -> None:
    (image,) = plan("nocobase", ["2.2.15"], "x86_64").images
    assert [layer.name for layer in image.layers] == ["base", "nocobase", "adapters"]


def test_the_adapters_are_packages_of_the_labs_own_that_say_what_they_are_for() -> None:
    (image,) = plan("nocobase", ["2.2.15"], "x86_64").images
    files = image.layers[-1].files
    for package in ADAPTER_PLUGINS:
        assert package.startswith("@nbops-lab/")
        home = f"/app/nocobase/node_modules/{package}"
        described = json.loads(files[f"{home}/package.json"].text)
        assert described["name"] == package
        assert "never for production" in described["description"]
        assert "setAdapter" in files[f"{home}/dist/server/index.js"].text or (
            "registerAdapter" in files[f"{home}/dist/server/index.js"].text
        )


def test_the_next_version_is_one_thin_layer_on_the_first() -> None:
    first, second = plan("nocobase", ["2.2.15", "2.2.16"], "x86_64").images
    assert second.layers[:2] == first.layers[:2]
    assert second.layers[3] == first.layers[2]
    assert second.layers[2].on == first.layers[1]
    assert any("migrations/" in path for path in second.layers[2].files)


def test_versions_of_the_sample_differ_in_one_file() -> None:
    first, second = plan("sample", ["2.2.15", "2.2.16"], "x86_64").images
    assert first.layers[:-1] == second.layers[:-1]
    assert first.layers[-1].files == {"/app/nocobase/VERSION": File("2.2.15\n")}
    assert second.layers[-1].files == {"/app/nocobase/VERSION": File("2.2.16\n")}


def test_a_change_of_the_samples_source_needs_no_package_registry() -> None:
    (image,) = plan("sample", ["2.2.15"], "x86_64").images
    modules = next(layer for layer in image.layers if "npm ci" in layer.script)
    assert {path.rpartition("/")[2] for path in modules.files} == {
        "package.json",
        "package-lock.json",
    }


def test_both_apps_stand_on_the_same_base() -> None:
    apps = [plan(app, ["2.2.15"], "x86_64").images[0] for app in ("nocobase", "sample")]
    assert apps[0].layers[0] == apps[1].layers[0]


def test_both_apps_start_and_answer_in_the_same_way() -> None:
    nocobase, sample = (plan(app, ["2.2.15"], "x86_64").images[0] for app in ("nocobase", "sample"))
    assert (nocobase.command, nocobase.workdir, nocobase.port) == (
        sample.command,
        sample.workdir,
        sample.port,
    )


def test_the_repository_bears_the_name_of_the_app() -> None:
    assert plan("nocobase", ["2.2.15"], "x86_64").repository == "nocobase/nocobase"
    assert plan("sample", ["2.2.15"], "aarch64").repository == "nocobase/sample"


def test_a_version_named_twice_is_made_once() -> None:
    assert len(plan("sample", ["2.2.16", "2.2.16"], "x86_64").images) == 1


def test_layers_come_once_and_after_the_layer_they_stand_on() -> None:
    names = [layer.name for layer in plan("nocobase", ["2.2.16", "2.2.15"], "x86_64").layers]
    assert names == ["base", "nocobase", "nocobase-2.2.16", "adapters"]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"script": "false"},
        {"files": {"/a": File("2")}},
        {"files": {"/a": File("1", 0o755)}},
        {"files": {"/b": File("1")}},
        {"on": Layer("below", "true")},
    ],
)
def test_a_layers_key_changes_with_all_that_it_is_made_of(changed: dict[str, object]) -> None:
    layer = Layer("name", "true", {"/a": File("1")})
    assert dataclasses.replace(layer, **changed).key != layer.key


def test_a_layers_key_changes_with_the_layer_below() -> None:
    below = Layer("below", "true")
    upper = Layer("upper", "true", on=below)
    moved = Layer("upper", "true", on=dataclasses.replace(below, script="false"))
    assert upper.key != moved.key


def test_the_same_images_have_the_same_key() -> None:
    assert plan("sample", ["2.2.15"], "x86_64").key == plan("sample", ["2.2.15"], "x86_64").key


def test_images_for_another_processor_have_another_key() -> None:
    assert plan("sample", ["2.2.15"], "x86_64").key != plan("sample", ["2.2.15"], "aarch64").key


@pytest.mark.parametrize(
    ("app", "versions", "machine", "message"),
    [
        ("wordpress", ["2.2.15"], "x86_64", "no app 'wordpress'"),
        ("sample", [], "x86_64", "no version"),
        ("sample", ["latest"], "x86_64", "'latest' is not a version"),
        ("nocobase", ["2.2.9"], "x86_64", "2.2.15 is the oldest"),
        ("nocobase", ["2.2.15"], "riscv64", "processor"),
    ],
)
def test_what_no_image_can_be_made_of_is_refused(
    app: str, versions: list[str], machine: str, message: str
) -> None:
    with pytest.raises(LabError, match=message):
        plan(app, versions, machine)
