from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.basic import AnsibleModule
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nbops.actions.attrs import OwnedArgs, Rights, Wanted, apply_mode
from nbops.actions.file import FileAction
from nbops.actions.paths import Answer, PathState
from nbops.base.errors import ActionFailed
from tests.actions.conftest import LocalContext, do

FILE = PathState("/x", True, 0o100644, uid=1, gid=2)


@pytest.mark.parametrize(
    ("spec", "before", "folder", "after"),
    [
        ("0600", 0o755, False, 0o600),
        ("600", 0o755, False, 0o600),
        ("04755", 0o644, False, 0o4755),
        ("u+x", 0o644, False, 0o744),
        ("+x", 0o644, False, 0o755),
        ("u=rwX,g=rX,o=", 0o640, False, 0o640),
        ("u=rwX,g=rX,o=", 0o640, True, 0o750),
        ("a+X", 0o744, False, 0o755),
        ("g=u", 0o640, False, 0o660),
        ("u+s,g+s,+t", 0o755, True, 0o7755),
        ("o-rwx,g+w", 0o777, False, 0o770),
        ("u+w-x", 0o555, False, 0o655),
        # Ansible takes the sticky bit away with `o=`, which chmod does not.
        ("u=rwX,go=rX", 0o7777, False, 0o755),
        ("u=st", 0o644, False, 0o4044),
        (" 644", 0o755, False, 0o644),
        ("u+x,", 0o644, False, 0o744),
    ],
)
def test_modes_are_read_as_chmod_reads_them(
    spec: str, before: int, folder: bool, after: int
) -> None:
    assert apply_mode(before, spec, folder=folder, umask=0o022) == after


CLAUSE = st.tuples(
    st.sampled_from(["", "u", "g", "o", "a", "ug", "go", "uo"]),
    st.sampled_from("+-="),
    st.sampled_from(["r", "w", "x", "X", "rwx", "", "u", "g", "o", "rX", "s", "t", "ug", "rs"]),
).map("".join)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(CLAUSE, min_size=1, max_size=3).map(",".join), st.integers(0, 0o7777), st.booleans()
)
def test_symbolic_modes_are_those_of_ansible_itself(spec: str, before: int, folder: bool) -> None:
    there = SimpleNamespace(st_mode=(stat.S_IFDIR if folder else stat.S_IFREG) | before)
    umask = os.umask(0o022)
    try:
        real = AnsibleModule._symbolic_mode_to_octal(there, spec)
    finally:
        os.umask(umask)
    assert apply_mode(before, spec, folder=folder, umask=0o022) == real


@pytest.mark.parametrize("spec", ["rw", "9", "u+z", "u~x", "ua+r", "07777777"])
def test_what_is_no_mode_is_refused_before_anything_runs(spec: str) -> None:
    with pytest.raises(ValidationError):
        OwnedArgs(mode=spec)


@pytest.mark.parametrize(
    ("rights", "script"),
    [
        (Rights(), ""),
        (Rights(mode="0644", uid=1, gid=2), ""),
        (Rights(mode="0600"), 'chmod 00600 -- "$1"\n'),
        (Rights(uid=5), 'chown -h 5 -- "$1"\n'),
        (Rights(gid=5), 'chown -h :5 -- "$1"\n'),
        # A change of owner clears setuid: the mode is set after it even when it was right.
        (Rights(mode="0644", uid=5, gid=6), 'chown -h 5:6 -- "$1"\nchmod 00644 -- "$1"\n'),
    ],
)
def test_only_what_differs_is_set(rights: Rights, script: str) -> None:
    assert rights.script(FILE) == script


def test_a_user_that_is_not_there_is_named_where_ansible_comes_to_it() -> None:
    rights = Wanted(mode="0600", owner="nobody-knows").read(Answer(b"0022\x000\x000\0\0"))
    assert (rights.mode, rights.uid, rights.gid) == (None, None, None)
    assert rights.script(FILE) == (
        "echo 'chown failed: failed to look up user nobody-knows' >&2; exit 1\n"
    )


def test_an_empty_mode_is_none() -> None:
    assert OwnedArgs(mode="").mode is None


def test_names_and_numbers_of_users_are_looked_up_on_the_host(ctx: LocalContext, box: Path) -> None:
    (box / "x").touch()
    own, group = box.stat().st_uid, box.stat().st_gid
    result = do(FileAction(), ctx, path=str(box / "x"), owner=str(own), group=group)
    assert not result.changed
    with pytest.raises(ActionFailed, match="failed to look up group no-such-group"):
        do(FileAction(), ctx, path=str(box / "x"), group="no-such-group")
