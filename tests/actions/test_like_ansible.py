"""The same steps by nbops and by ansible-core: the same returned keys, the same files after."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nbops.actions.api import Result
from nbops.actions.builtin import BUILTIN
from nbops.actions.registry import Registry
from nbops.base.errors import ActionFailed
from nbops.runbook.expr import Templar
from tests.actions.ansible_says import action_of, ansible_results, placed
from tests.actions.conftest import LocalContext
from tests.actions.echo import listening

pytestmark = pytest.mark.ansible

STEPS: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("like_ansible.yml").read_text()
)
# What two runs never share: times, numbers of processes and inodes, names of temporary files.
VOLATILE = {
    "version",  # of an inode: another one for every file
    "start", "stop", "end", "delta", "atime", "mtime", "ctime", "inode", "elapsed",
    "date", "backup_file", "backup", "exception", "diff", "warnings", "deprecations", "src", "size",
}  # fmt: skip
# Words in which both say the same, differently.
WORDED = {
    "msg": (
        "chdir",
        "no-such-user",
        "refusing",
        "is not empty",
        "existing",
        "_raw_params",
        "Errno",
        "did not match",
    )
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folder and results of each: ansible's, ours."""
    root = tmp_path_factory.mktemp("both")
    theirs, ours = root / "theirs", root / "ours"
    here = LocalContext(root)
    for folder in (theirs, ours):
        folder.mkdir()
    sources(here.runbook)
    before = os.umask(0o022)
    with listening() as address:
        marks = {"@U@": address, "@W@": theirs}
        registered = ansible_results(
            [placed(step, marks) for step in STEPS], here.runbook, here.home
        )
        (here.home / "out").unlink()
        results = [carry_out(placed(step, marks | {"@W@": ours}), here) for step in STEPS]
    os.umask(before)
    return theirs, ours, registered, results


def sources(folder: Path) -> None:
    """The files of the runbook."""
    (folder / "files" / "folder" / "sub").mkdir(parents=True)
    (folder / "files" / "folder" / "none").mkdir()
    (folder / "files" / "folder" / "x").write_text("1\n")
    (folder / "files" / "folder" / "sub" / 'it\'s "y"').write_text("2\n")
    (folder / "files" / "folder" / "lnk").symlink_to("x")
    (folder / "files" / "one").mkdir()
    (folder / "files" / "one" / "single").write_text("1\n")
    script = folder / "files" / "script.sh"
    script.write_text('#!/bin/sh\necho "$@"; echo e >&2\n')
    script.chmod(0o755)
    (folder / "templates").mkdir()
    (folder / "templates" / "own.j2").write_text("[[ inventory_hostname ]] {{ x }}\n")
    (folder / "templates" / "head.j2").write_text(
        "#jinja2: trim_blocks: False\n  {% if true %}\n  v\n  {% endif %}\n"
    )
    (folder / "templates" / "t.j2").write_text(
        "{% if true %}\n  v={{ inventory_hostname }}\n{% endif %}\n\n{# no #}\nend\n\n"
    )


def carry_out(step: Mapping[str, Any], ctx: LocalContext) -> dict[str, Any]:
    """What nbops registers for a step."""
    name, arguments = action_of(step)
    ctx.check = bool(step.get("check_mode"))
    ctx.host = "localhost"
    ctx.vars = {"inventory_hostname": "localhost"}
    templar = Templar()
    ctx.renderer = lambda text, extra: templar.text(text, {**ctx.vars, **extra}, "test")
    action = Registry(BUILTIN).action(name)
    if "_raw_params" in arguments:
        arguments[action.spec.free_form or ""] = arguments.pop("_raw_params")
    try:
        result = action.run(action.spec.args.model_validate(arguments), ctx)
    except ValidationError as error:
        result = Result(failed=True, msg=error.errors()[0]["msg"].removeprefix("Value error, "))
    except ActionFailed as error:
        result = Result(failed=True, msg=str(error))
    values = {"changed": result.changed, "failed": result.failed, **result.values}
    values |= {"msg": result.msg} if result.msg else {}
    values |= {"skipped": True} if result.skipped else {}
    values |= {"ansible_facts": dict(result.facts)} if result.facts else {}
    return values


def comparable(value: Any, folder: Path) -> Any:
    """A registered result without what two runs never share."""
    if isinstance(value, Mapping):
        return {key: comparable(item, folder) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [comparable(item, folder) for item in value]
    return value.replace(str(folder), "@W@") if isinstance(value, str) else value


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda n: f"{n}-{action_of(STEPS[n])[0]}")
def test_a_step_returns_what_ansible_returns(both: Any, number: int) -> None:
    theirs_in, ours_in, registered, results = both
    theirs = comparable(registered[number], theirs_in)
    ours = comparable(results[number], ours_in)
    for always in ("changed", "failed", "skipped"):
        assert theirs.get(always, False) == ours.get(always, False), (always, theirs, ours)
    if action_of(STEPS[number])[0] == "pause":
        theirs.pop("stdout")  # how long it really was
    if any(word in str(theirs.get("msg")) for word in WORDED["msg"]):
        theirs.pop("msg")
    assert shared(theirs, ours) == shared(ours, theirs)


def shared(one: Any, other: Any) -> Any:
    """Of nested mappings, the keys that both have."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {key: shared(one[key], other[key]) for key in one if key in other}
    return one


def test_both_leave_the_same_files(both: Any) -> None:
    theirs, ours, _, _ = both
    assert tree(theirs) == tree(ours)


def tree(folder: Path) -> dict[str, Any]:
    """Kind, rights and content of everything in a folder; dates in names become one."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        name = re.sub(r"\.\d+\.\d{4}-\d\d-\d\d@[\d:]+~", ".BACKUP~", str(path.relative_to(folder)))
        content: Any = None
        if path.is_symlink():
            content = str(path.readlink()).replace(str(folder), "@W@")
        elif path.is_file():
            content = path.read_bytes().replace(str(folder).encode(), b"@W@")
        mode = stat.filemode(facts.st_mode)
        name = name.replace(str(folder).lstrip("/"), "@W@")
        found[name] = (mode, facts.st_uid, facts.st_gid, content)
    return found
