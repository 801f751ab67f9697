"""Wrong inventories: each mistake is named with its file, line and column, and with a hint."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nbops.base.errors import UsageError
from nbops.base.yamlpos import YamlMap, place_of
from nbops.inventory.load import load_inventory
from nbops.inventory.merge import merge_layers
from nbops.inventory.model import Inventory, ungrouped_problems

Load = Callable[..., Inventory]
Write = Callable[..., Path]


def problem_of(path: Path) -> tuple[str, str, str]:
    """The only problem of an inventory: message, `line:column`, hint."""
    with pytest.raises(UsageError) as caught:
        load_inventory(path)
    (problem,) = caught.value.problems
    place = problem.place
    assert place is None or place.file.startswith(str(path.parent))
    where = f"{place.line}:{place.column}" if place else ""
    return problem.message, where, problem.hint or ""


@pytest.mark.parametrize(
    ("text", "message", "where", "hint"),
    [
        ("", "empty", "1:1", "nbops init"),
        ("# nothing\n---\n", "empty", "1:1", "nbops init"),
        ("- a\n- b\n", "mapping of groups", "1:1", "all:"),
        ("just words\n", "mapping of groups", "1:1", "all:"),
        ("all: {hosts: [\n", "not valid YAML", "2:1", ""),
        ("all:\n\thosts:\n", "not valid YAML", "2:1", ""),
        ("all:\n  hosts: {a: }\n  hosts: {b: }\n", "second time", "3:3", "line 2"),
        ("all: {hosts: {a: , a: }}\n", "second time", "1:20", "line 1"),
        ("app:\n  host: {a: }\n", "unknown key `host`", "2:3", "`hosts`"),
        ("app:\n  Hosts: {a: }\n", "unknown key `Hosts`", "2:3", "`hosts`"),
        ("app:\n  hosts: {a: }\n  var: {x: 1}\n", "unknown key `var`", "3:3", "`vars`"),
        ("app:\n  hosts: {a: }\n  zzz: 1\n", "unknown key `zzz`", "3:3", "variables go under"),
        ("hosts:\n  a:\n", "`hosts` stands at the top", "1:1", "all:"),
        ("app: {hosts: [a, b]}\n", "must be a mapping, not a list", "1:14", "`a:`"),
        ("app: {children: [eu]}\n", "must be a mapping, not a list", "1:17", "`eu:`"),
        ("app: {hosts: {a: }, vars: words}\n", "must be a mapping", "1:27", "NAME: VALUE"),
        ("app: {hosts: 3}\n", "must be a mapping, not a number", "1:14", ""),
        ("app: words\n", "group `app` holds the text", "1:1", "hosts:"),
        ("app: {hosts: {a: 10.0.0.1}}\n", "host `a` holds the text", "1:15", "ansible_host"),
        ("app: {hosts: {10: }}\n", "must be text, not a number", "1:15", '"10"'),
        ("10: {hosts: {a: }}\n", "must be text, not a number", "1:1", '"10"'),
        ("app: {hosts: {a: {1: x}}}\n", "must be text, not a number", "1:19", '"1"'),
        ("a b: {hosts: {a: }}\n", "cannot be the name of a group", "1:1", "letters"),
        ("'a:b': {hosts: {a: }}\n", "cannot be the name of a group", "1:1", "letters"),
        ("app: {hosts: {'a b': }}\n", "cannot be the name of a host", "1:15", ""),
        ("app: {hosts: {'a[3:1]': }}\n", "runs backwards", "1:15", ""),
        ("app: {hosts: {'a:99999': }}\n", "65535", "1:15", ""),
        ("app: {vars: {x: 1}}\n", "no host is named", "1:1", "hosts"),
        ("all: {children: {app: {children: {app: }}, b: {hosts: {x: }}}}\n",
         "below itself: app > app", "1:35", "children"),
        ("all: {hosts: {x: }}\na: {children: {b: }}\nb: {children: {c: }}\nc: {children: {a: }}\n",
         "below itself: a > b > c > a", "4:16", "children"),
        ("app: {hosts: {x: }, children: {all: }}\n", "below itself", "1:32", "children"),
        ("app: {hosts: {a: }, vars: {ansible_group_priority: high}}\n", "whole number", "1:52", ""),
        ("all: {vars: {p: !vault abc}, hosts: {a: }}\n",
         "`!vault`", "1:17", "ansible-vault decrypt"),
        ("all: {vars: {p: !unsafe abc}, hosts: {a: }}\n", "`!unsafe`", "1:17", "without the tag"),
        ("plugin: amazon.aws.aws_ec2\n", "inventory plugin", "1:1", "ansible-inventory -i"),
        ('{"_meta": {"hostvars": {}}}\n', "JSON", "1:2", "--yaml"),
        ("[app]\nnode1\n", "INI", "1:1", "ansible-inventory -i"),
        ("# comment\nnode1 ansible_host=1.2.3.4\n[app]\nnode1\n", "INI", "2:1", "--list --yaml >"),
        ("node1 ansible_host=1.2.3.4\n", "INI", "1:1", "ansible-inventory -i"),
        ("[app:vars]\nx=1\n", "INI", "1:1", "ansible-inventory -i"),
        ("$ANSIBLE_VAULT;1.1;AES256\n3031\n", "encrypted", "1:1", "ansible-vault decrypt"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_a_hint(
    write: Write, text: str, message: str, where: str, hint: str
) -> None:
    said = problem_of(write(text))
    assert message in said[0]
    assert said[1] == where
    assert hint in said[2]


def test_all_mistakes_of_a_file_are_told_at_once(write: Write) -> None:
    path = write(
        "app:\n  host: {a: }\n  hosts: {b: 1, 'c[': }\n  vars: x\ndb: []\n",
        {"group_vars/app.yml": "- x\n"},
    )
    with pytest.raises(UsageError) as caught:
        load_inventory(path)
    lines = [problem.place.line for problem in caught.value.problems if problem.place]
    assert lines == [2, 3, 3, 4, 5, 1]
    assert caught.value.exit_code == 2


def test_an_inventory_that_is_not_there_is_named(tmp_path: Path) -> None:
    message, _, hint = problem_of(tmp_path / "none.yml")
    assert message == f"{tmp_path}/none.yml: no such inventory"
    assert "nbops init" in hint


def test_a_folder_is_refused_and_the_file_in_it_named(write: Write, tmp_path: Path) -> None:
    write("all: {hosts: {a: }}")
    message, _, hint = problem_of(tmp_path)
    assert "is a folder" in message
    assert str(tmp_path / "inventory.yml") in hint


def test_a_list_of_hosts_is_refused(tmp_path: Path) -> None:
    assert "a list of hosts" in problem_of(tmp_path / "a,b,")[0]


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_bytes(b"all:\n  vars: {x: \xff}\n")
    assert problem_of(path)[:2] == ("not UTF-8 text", "2:1")


def test_a_program_is_not_run(write: Write, tmp_path: Path) -> None:
    path = write(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    message, where, hint = problem_of(path)
    assert "program" in message
    assert where == "1:1"
    assert "ansible-inventory -i" in hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", ["ini", "toml", "cfg"])
def test_other_formats_are_known_by_their_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"hosts.{suffix}"
    path.write_text("anything", encoding="utf-8")
    message, _, hint = problem_of(path)
    assert suffix.upper() in message
    assert str(path) in hint


def test_yaml_in_flow_style_is_not_taken_for_ini(load: Load) -> None:
    inventory = load("{app: {hosts: {a: {list: [\n  1,\n  2\n]}}}}\n")
    assert list(inventory.hosts) == ["a"]


def test_a_broken_yaml_with_an_ini_like_line_is_still_told_apart(write: Write) -> None:
    assert "INI" in problem_of(write("[app]\nweb[1:3] ansible_user=x\n"))[0]


def test_a_broken_yaml_is_not_taken_for_ini(write: Write) -> None:
    assert "not valid YAML" in problem_of(write("options: a=b\nall: {hosts: [\n"))[0]


class TestVariableFiles:
    def test_mistakes_in_them_bear_their_own_place(self, write: Write) -> None:
        path = write(
            "app: {hosts: {a: }}",
            {
                "group_vars/app.yml": "x: 1\nx: 2\n",
                "host_vars/a.yml": "$ANSIBLE_VAULT;1.1\nabc\n",
                "group_vars/all/one.yml": "- 1\n",
                "group_vars/all/two.yml": "p: !vault |\n  abc\n",
            },
        )
        with pytest.raises(UsageError) as caught:
            load_inventory(path)
        said = {
            (Path(problem.place.file).name, problem.place.line, problem.message.split(" ")[0])
            for problem in caught.value.problems
            if problem.place
        }
        assert said == {
            ("app.yml", 2, "key"),
            ("a.yml", 1, "the"),
            ("one.yml", 1, "a"),
            ("two.yml", 1, "tag"),
        }

    def test_a_file_that_ansible_ignores_is_warned_about(self, load: Load) -> None:
        inventory = load(
            "app: {hosts: {node1: }}",
            {
                "group_vars/app.yml": "x: 1",
                "group_vars/app.yaml": "x: 2",
                "group_vars/ap.yml": "y: 1",
                "host_vars/node11.yml": "z: 1",
                "host_vars/other-cluster": "z: 1",
            },
        )
        said = [str(warning) for warning in inventory.warnings]
        assert len(said) == 3
        assert "app.yaml is not read" in said[0]
        assert "ap.yml belongs to no group" in said[1]
        assert "node11.yml belongs to no host" in said[2]
        assert inventory.vars_of("node1")["x"] == 1

    def test_those_beside_the_runbook_come_after_those_beside_the_inventory(
        self, write: Write, tmp_path: Path
    ) -> None:
        path = write(
            "app: {hosts: {a: {h: inline}}}",
            {
                "group_vars/all.yml": "{v: here, all: here}",
                "group_vars/app.yml": "{v: app here}",
                "host_vars/a.yml": "{h: here}",
                "play/group_vars/all.yml": "{v: there, all: there}",
                "play/host_vars/a.yml": "{h: there}",
            },
        )
        inventory = load_inventory(path, [tmp_path / "play", tmp_path])
        assert inventory.vars_of("a") == {"v": "app here", "all": "there", "h": "there"}

    def test_folders_that_contain_themselves_end(self, write: Write, tmp_path: Path) -> None:
        path = write("app: {hosts: {a: }}", {"group_vars/all/x.yml": "x: 1"})
        for name in ("one", "two", "three"):
            (tmp_path / "group_vars/all" / name).symlink_to(".")
        assert load_inventory(path).vars_of("a") == {"x": 1}

    def test_a_name_cannot_lead_out_of_the_folder(self, write: Write) -> None:
        path = write("app: {hosts: {'../secret': }}", {"secret.yml": "x: 1"})
        assert "cannot be the name" in problem_of(path)[0]


def test_values_remember_where_they_stand(load: Load, tmp_path: Path) -> None:
    inventory = load(
        "app:\n  hosts:\n    a:\n      x: 1\n  vars:\n    y: {deep: [1, 2]}\n",
        {"group_vars/all.yml": "\nz: here\n"},
    )
    values = inventory.vars_of("a")
    assert str(place_of(values, ("x",))) == f"{tmp_path}/inventory.yml:4:10"
    assert str(place_of(values, ("y", "deep", 1))) == f"{tmp_path}/inventory.yml:6:19"
    assert str(place_of(values, ("z",))) == f"{tmp_path}/group_vars/all.yml:2:4"
    assert str(inventory.host("a").place) == f"{tmp_path}/inventory.yml:3:5"


def test_hosts_without_a_group_are_a_problem_for_who_needs_groups(load: Load) -> None:
    inventory = load("all:\n  hosts:\n    lone:\n    ok:\napp: {hosts: {ok: }}\n")
    (problem,) = ungrouped_problems(inventory)
    assert problem.message == "host `lone` is in no group"
    assert problem.place is not None
    assert (problem.place.line, problem.place.column) == (3, 5)
    assert "`app`" in (problem.hint or "")


def test_an_unknown_host_is_named_with_the_nearest(load: Load) -> None:
    inventory = load("app: {hosts: {node1: }}")
    with pytest.raises(UsageError, match="no host `nod1`") as caught:
        inventory.vars_of("nod1")
    assert caught.value.problems[0].hint == "did you mean `node1`?"


class TestTheSettingsAreMerged:
    def test_key_by_key_over_the_layers_with_their_places(self, load: Load) -> None:
        inventory = load(
            """
all: {vars: {nocobase: {cluster: c, runtime: {port: 1, dir: /a}, list: [1, 2]}, other: {a: 1}}}
app:
  hosts: {n1: {nocobase: {runtime: {port: 3}}, other: {b: 2}}, n2: }
  vars: {nocobase: {runtime: {port: 2}, list: [3]}}
""",
            {
                "group_vars/all.yml": "nocobase: {env: {A: 1}}",
                "host_vars/n1.yml": "nocobase: {env: {B: 2}}",
            },
        )
        first = inventory.vars_of("n1")
        assert first["nocobase"] == {
            "cluster": "c",
            "runtime": {"port": 3, "dir": "/a"},
            "list": [3],
            "env": {"A": 1, "B": 2},
        }
        assert first["other"] == {"b": 2}
        assert inventory.vars_of("n2")["nocobase"]["runtime"] == {"port": 2, "dir": "/a"}
        place = place_of(first, ("nocobase", "runtime", "port"))
        assert place is not None
        assert (place.line, place.column) == (4, 43)
        assert "host_vars" in str(place_of(first, ("nocobase", "env", "B")))

    def test_without_changing_the_layers_themselves(self, load: Load) -> None:
        inventory = load(
            "all: {vars: {nocobase: {env: {A: 1}}}}\n"
            "app: {hosts: {n1: {nocobase: {env: {B: 2}}}, n2: }}\n"
        )
        inventory.vars_of("n1")
        assert inventory.vars_of("n2")["nocobase"] == {"env": {"A": 1}}

    @pytest.mark.parametrize(
        ("lower", "upper", "merged"),
        [
            ("{p: {file: a}}", "{p: {env: B}}", {"p": {"env": "B"}}),
            ("{p: {file: a}}", "{p: {command: [x]}}", {"p": {"command": ["x"]}}),
            ("{p: {database: 1}}", "{p: {url: x}}", {"p": {"database": 1, "url": "x"}}),
            ("{env: {A: 1}}", "{env: {B: 2}}", {"env": {"A": 1, "B": 2}}),
            ("{a: {b: 1}}", "{a: 2}", {"a": 2}),
            ("{a: 1}", "{a: {b: 1}}", {"a": {"b": 1}}),
            ("{a: {b: 1}}", "{a: null}", {"a": None}),
            ("{a: 1}", "null", {"a": 1}),
        ],
    )
    def test_and_a_source_is_replaced_whole(
        self, load: Load, lower: str, upper: str, merged: object
    ) -> None:
        inventory = load(
            f"all: {{vars: {{nocobase: {lower}}}}}\napp: {{hosts: {{a: {{nocobase: {upper}}}}}}}\n"
        )
        assert inventory.vars_of("a")["nocobase"] == merged


def test_merging_nothing_gives_nothing() -> None:
    assert merge_layers([]) == YamlMap()


def test_a_thousand_hosts_load_at_once(load: Load) -> None:
    inventory = load('app: {hosts: {"n[1:1000]": {x: 1}}, vars: {y: 2}}')
    assert len(inventory.hosts_of("app")) == 1000
    assert inventory.vars_of("n1000") == {"y": 2, "x": 1}


def test_deep_and_wide_groups_do_not_hang(load: Load) -> None:
    levels = 40
    text = "".join(
        f"g{level}a: {{children: {{g{level + 1}a: , g{level + 1}b: }}}}\n"
        f"g{level}b: {{children: {{g{level + 1}a: , g{level + 1}b: }}}}\n"
        for level in range(levels)
    )
    inventory = load(f"{text}g{levels}a: {{hosts: {{h: }}}}\ng{levels}b: {{hosts: {{h: }}}}\n")
    assert inventory.groups[f"g{levels}a"].depth == levels + 1
    assert len(inventory.groups_of("h")) == 2 * (levels + 1)


def test_a_misspelt_variable_of_the_connection_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    values = "{ansible_prot: 22, ansible_user: b, ansible_shell_type: sh}"
    path.write_text(f"all: {{hosts: {{a: {values}}}}}\n")
    (warning,) = load_inventory(path).warnings
    assert "`ansible_prot`" in warning.message
    assert warning.hint == "did you mean `ansible_port`?"
