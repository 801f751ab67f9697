"""Secrets from files, variables and commands of this computer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nbops.nocobase.secrets import Reader, SecretProblem


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path, {"PATH": os.environ["PATH"], "GOOD": "value", "EMPTY": ""})


def keep(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


class TestVariable:
    def test_its_value_is_the_secret(self, reader: Reader) -> None:
        assert reader.variable("GOOD").reveal() == "value"

    @pytest.mark.parametrize(("name", "why"), [("NONE", "is not set"), ("EMPTY", "is empty")])
    def test_one_that_is_not_there_is_told(self, reader: Reader, name: str, why: str) -> None:
        with pytest.raises(SecretProblem, match=f"`{name}` {why}") as caught:
            reader.variable(name)
        assert f"export {name}=" in (caught.value.hint or "")

    def test_the_computers_own_are_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NBOPS_TEST_SECRET", "here")
        assert Reader(tmp_path).variable("NBOPS_TEST_SECRET").reveal() == "here"


class TestFile:
    @pytest.mark.parametrize(
        ("content", "value"),
        [
            (b"secret\n", "secret"),
            (b"secret", "secret"),
            (b"secret\r\n", "secret"),
            (b" spaces stay \n", " spaces stay "),
            ("schlüssel\n".encode(), "schlüssel"),
        ],
    )
    def test_its_line_is_the_secret(
        self, reader: Reader, tmp_path: Path, content: bytes, value: str
    ) -> None:
        keep(tmp_path / "s", content)
        assert reader.file("s").reveal() == value

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"  \n", "is empty"),
            (b"one\ntwo\n", "more than one line"),
            (b"a\0b", "more than one line"),
            (b"\xff\xfe", "not UTF-8"),
            (b"x" * 70_000, "are no secret"),
        ],
    )
    def test_what_cannot_be_one_is_told(
        self, reader: Reader, tmp_path: Path, content: bytes, why: str
    ) -> None:
        keep(tmp_path / "s", content)
        with pytest.raises(SecretProblem, match=why):
            reader.file("s")

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
    def test_one_that_everyone_can_read_or_write_is_refused(
        self, reader: Reader, tmp_path: Path, mode: int
    ) -> None:
        path = keep(tmp_path / "s", b"x", mode)
        with pytest.raises(SecretProblem, match="everyone on this computer") as caught:
            reader.file("s")
        assert caught.value.hint == f"`chmod 600 {path}`"

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o660])
    def test_one_of_the_owner_or_the_team_is_taken(
        self, reader: Reader, tmp_path: Path, mode: int
    ) -> None:
        keep(tmp_path / "s", b"x", mode)
        assert reader.file("s").reveal() == "x"

    def test_one_that_is_not_there_is_told_with_how_to_make_it(self, reader: Reader) -> None:
        with pytest.raises(SecretProblem, match="no such file") as caught:
            reader.file("none")
        assert "umask 077" in (caught.value.hint or "")

    def test_a_folder_or_a_pipe_is_none(self, reader: Reader, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        with pytest.raises(SecretProblem, match="folder"):
            reader.file("d")
        with pytest.raises(SecretProblem, match="not a file"):
            reader.file("/dev/null")

    def test_a_pipe_without_a_writer_does_not_hang(self, reader: Reader, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SecretProblem, match="not a file"):
            reader.file("pipe")

    def test_a_home_folder_in_its_path_is_the_users(
        self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "home"
        home.mkdir()
        keep(home / "s", b"x")
        monkeypatch.setenv("HOME", str(home))
        assert reader.file("~/s").reveal() == "x"


class TestCommand:
    @pytest.mark.parametrize(
        "command", ["echo secret", ["echo", "secret"], "printf secret", "sh -c 'echo secret'"]
    )
    def test_what_it_prints_is_the_secret(self, reader: Reader, command: str | list[str]) -> None:
        assert reader.command(command).reveal() == "secret"

    def test_no_shell_is_involved(self, reader: Reader) -> None:
        assert reader.command("echo $(id) ; `id`").reveal() == "$(id) ; `id`"

    def test_it_runs_beside_the_inventory(self, reader: Reader, tmp_path: Path) -> None:
        assert reader.command("pwd").reveal() == str(tmp_path)

    def test_it_cannot_ask_anything(self, reader: Reader) -> None:
        with pytest.raises(SecretProblem, match="failed with status 1"):
            reader.command("sh -c 'read answer'")

    @pytest.mark.parametrize(
        ("command", "why"),
        [
            ("sh -c 'echo no store >&2; exit 3'", "failed with status 3: no store"),
            ("sh -c 'printf \"\\033[31mred\" >&2; exit 1'", r"status 1: \?\[31mred"),
            ("/no/such/program", "cannot be run: No such file"),
            ("true", "is empty"),
            ("printf 'a\\nb'", "more than one line"),
            ("'open", "cannot be split"),
            ("", "is empty"),
        ],
    )
    def test_one_that_fails_is_told(self, reader: Reader, command: str, why: str) -> None:
        with pytest.raises(SecretProblem, match=why):
            reader.command(command)

    def test_what_it_printed_is_not_in_the_message(self, reader: Reader) -> None:
        with pytest.raises(SecretProblem) as caught:
            reader.command("sh -c 'echo hunter2; exit 1'")
        assert "hunter2" not in str(caught.value)

    def test_one_that_takes_too_long_is_killed_with_all_that_it_began(self, tmp_path: Path) -> None:
        reader = Reader(tmp_path, {"PATH": os.environ["PATH"]}, deadline=0.5)
        began = time.monotonic()
        with pytest.raises(SecretProblem, match=r"not done after 0\.5 s"):
            reader.command("sh -c 'sleep 60 & echo $! > child; wait'")
        assert time.monotonic() - began < 30
        child = int((tmp_path / "child").read_text())
        assert dies(child)

    def test_a_child_that_holds_the_output_does_not_hold_the_run(self, tmp_path: Path) -> None:
        reader = Reader(tmp_path, {"PATH": os.environ["PATH"]}, deadline=0.5)
        with pytest.raises(SecretProblem, match="not done after"):
            reader.command("sh -c 'sleep 60 & echo $! > child; echo secret'")
        assert dies(int((tmp_path / "child").read_text()))


def dies(pid: int, within: float = 10.0) -> bool:
    """Whether a process is gone, or a zombie, before so many seconds have passed."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
