"""`nbops init`, the example inventory, and the JSON Schema of inventories."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbops.base.errors import UsageError
from nbops.inventory.load import load_inventory
from nbops.nocobase.init import example_text, write_example
from nbops.nocobase.inventory_schema import inventory_schema
from nbops.nocobase.settings import load_settings, read_secrets
from nbops.nocobase.settings_model import Settings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_right_and_complete(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cluster"
    written = write_example(folder)
    assert {path.relative_to(folder).as_posix() for path in written} == {
        "inventory.yml",
        "secrets/.gitignore",
        "secrets/admin_password",
        "secrets/aes_key",
        "secrets/app_key",
        "secrets/db_password",
    }
    settings = load_settings(load_inventory(folder / "inventory.yml"))
    assert settings.app == ("node1", "node2", "node3")
    assert len(list(read_secrets(settings))) == 4
    assert not settings.inventory.warnings


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    written = write_example(tmp_path)
    assert mode(tmp_path / "secrets") == 0o700
    assert all(mode(path) == 0o600 for path in written if path.parent.name == "secrets")
    assert not list(tmp_path.rglob(".nbops-*"))


def test_secrets_are_drawn_anew_each_time(tmp_path: Path) -> None:
    one, other = write_example(tmp_path / "a"), write_example(tmp_path / "b")
    for first, second in zip(one, other, strict=True):
        if first.name not in {"inventory.yml", ".gitignore"}:
            assert first.read_text() != second.read_text()


@pytest.mark.parametrize("name", ["inventory.yml", "secrets/app_key"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(UsageError, match="not overwritten") as caught:
        write_example(tmp_path)
    assert caught.value.problems[0].hint
    assert path.read_text() == "mine"
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [path]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        write_example(tmp_path / "file" / "below")


class TestExample:
    def test_explains_every_key(self) -> None:
        text = example_text()
        for section, field in Settings.model_fields.items():
            assert re.search(rf"^ *(# )?{section}:", text, re.MULTILINE), section
            for key in getattr(field.annotation, "model_fields", {}):
                assert re.search(rf"\b{key}:", text), f"{section}.{key}"

    def test_what_is_commented_out_is_right_as_well(self, tmp_path: Path) -> None:
        lines = []
        for line in example_text().splitlines():
            found = re.fullmatch(r"( *)# ((?: {2})*[a-z_A-Z]+:(?: .*)?)", line)
            meant = found and not found[2].startswith(("Cache", "A host", "Many"))
            lines.append(found[1] + found[2] if found and meant else line)
        text = "\n".join(lines).replace("plugins: {}", "plugins:")
        for one_of_two in (r" *host: db\.example.*", r" *url: redis://cache.*", r".*node4: .*"):
            text = re.sub(one_of_two, "", text)
        commands = re.search(r" *commands:.*\n( {10}.*\n)+", text)
        assert commands
        text = text.replace(commands[0], "")  # for another kind of balancer
        text = text.replace("lookup", '"').replace("{{ \"('env', 'SUDO_PASSWORD') }}", "x")
        text = text.replace("lock: {host: cache2", "lock: {host: cache")
        text = text.replace('worker_mode: "!"', 'worker_mode: "!"')
        path = tmp_path / "inventory.yml"
        path.write_text(text, encoding="utf-8")
        settings = load_settings(load_inventory(path)).common
        assert settings.plugins.local == ("plugins/my-plugin-1.0.0.tgz",)
        assert settings.balancer.tls is not None
        assert settings.runtime.registry is not None

    def test_names_the_defaults_that_hold(self, tmp_path: Path) -> None:
        write_example(tmp_path)
        settings = load_settings(load_inventory(tmp_path / "inventory.yml")).common
        text = example_text()
        for section in ("runtime", "backup", "upgrade", "ssh"):
            for key, value in getattr(settings, section):
                if type(value) in {int, float, str}:
                    shown = re.escape(f"{value:g}" if isinstance(value, float) else str(value))
                    assert re.search(rf"\b{key}: \"?{shown}\b", text), f"{section}.{key}: {value}"


class TestSchema:
    def test_knows_every_key_with_its_description(self) -> None:
        definitions = inventory_schema()["$defs"]
        assert list(definitions["settings"]["properties"]) == list(Settings.model_fields)
        for name, definition in definitions.items():
            if definition.get("additionalProperties") is False and name != "group":
                for key, value in definition["properties"].items():
                    assert value.get("description"), f"{name}.{key}"

    def test_refers_only_to_what_it_defines(self) -> None:
        schema = inventory_schema()

        def references(value: Any) -> list[str]:
            if isinstance(value, dict):
                here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
                return here + [one for item in value.values() for one in references(item)]
            if isinstance(value, list):
                return [one for item in value for one in references(item)]
            return []

        names = {f"#/$defs/{name}" for name in schema["$defs"]}
        assert set(references(schema)) <= names

    @pytest.fixture
    def errors(self) -> Any:
        jsonschema = pytest.importorskip("jsonschema")
        validator = jsonschema.Draft202012Validator(inventory_schema())
        return lambda text: list(validator.iter_errors(yaml.safe_load(text)))

    def test_the_example_is_valid(self, errors: Any) -> None:
        assert errors(example_text()) == []

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("cluster: main", "clutser: main"),
            ("kind: compose", "kind: compsoe"),
            ("{file: secrets/db_password}", "plain"),
            ("{file: secrets/db_password}", "{file: a, env: b}"),
            ("managed: true", "manged: true"),
            ("children:", "childern:"),
            ("host_keys: strict", "host_keys: no"),
        ],
    )
    def test_a_mistake_is_not(self, errors: Any, old: str, new: str) -> None:
        assert old in example_text()
        assert errors(example_text().replace(old, new, 1))
