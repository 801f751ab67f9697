"""From an error to its exit code, and what is said on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbops import __version__
from nbops.base import errors
from nbops.cli import wire
from nbops.cli.run_options import RunOptions
from tests.cli.cli_told import Nbops, Told


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(options: RunOptions) -> int:
        raise error

    monkeypatch.setattr(wire, "run", run)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.NbopsError, 1),
        (errors.ActionFailed, 1),
        (errors.ConnectionLost, 1),
        (errors.DeadlineExceeded, 1),
        (errors.FenceRefused, 1),
        (errors.LabError, 1),
        (errors.UsageError, 2),
        (errors.RefusedError, 2),
        (errors.RolledBack, 3),
        (errors.HostUnusable, 4),
        (errors.LockedError, 5),
        (errors.StuckError, 6),
        (errors.Interrupted, 130),
    ],
)
def test_every_error_has_its_exit_code(
    nbops: Nbops,
    local: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[errors.NbopsError],
    code: int,
) -> None:
    fails_with(monkeypatch, kind("it is so", hint="do this"))
    assert nbops("deploy") == Told(code, "", "error: it is so\n  hint: do this\n")


def test_the_exit_code_of_a_run_is_passed_on(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "run", lambda _options: 3)
    assert nbops("deploy").code == 3


def test_all_problems_are_told_at_once(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = errors.Place("my.yml", 2, 3)
    problems = [errors.Problem("one", place), errors.Problem("two", None, "hint")]
    fails_with(monkeypatch, errors.UsageError.of(problems))
    assert nbops("deploy").err == "my.yml:2:3: error: one\nerror: two\n  hint: hint\n"


def test_with_json_an_error_is_one_object_on_standard_output(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = errors.Place("my.yml", 2, 3)
    fails_with(monkeypatch, errors.UsageError("bad", place=place, hint="mend it"))
    told = nbops("deploy", "--json")
    assert told.err == ""
    assert json.loads(told.out) == {
        "format": 1,
        "kind": "error",
        "error": "UsageError",
        "exit_code": 2,
        "problems": [
            {"message": "bad", "file": "my.yml", "line": 2, "column": 3, "hint": "mend it"}
        ],
    }


def test_hostile_text_in_an_error_cannot_steer_the_terminal(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(monkeypatch, errors.ActionFailed("\x1b[2Jgone\x07", hint="\x9b1m"))
    told = nbops("deploy")
    assert "gone" in told.err
    assert "\x1b" not in told.err


def test_a_bug_is_called_one_and_its_text_is_shown_only_when_asked_for(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(monkeypatch, ZeroDivisionError("inner words"))
    short, long = nbops("deploy"), nbops("deploy", "-v")
    assert short.code == long.code == 1
    assert "bug in nbops" in short.err
    assert "inner words" not in short.err
    assert "Traceback" in long.err
    assert "inner words" in long.err


def test_a_bug_is_an_object_too_with_json(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(monkeypatch, ZeroDivisionError("inner words"))
    told = nbops("deploy", "--json")
    assert json.loads(told.out)["exit_code"] == 1


def test_an_interrupt_ends_with_130(
    nbops: Nbops, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(monkeypatch, KeyboardInterrupt())
    assert nbops("deploy").code == 130


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("run",),
        ("deploy", "--nope"),
        ("deploy", "--forks", "0"),
        ("deploy", "--forks", "many"),
        ("deploy", "a", "b"),
        ("lab",),
        ("lab", "up", "--app", "nope"),
        ("exec", "all"),
        ("actions", "nope"),
        ("show", "nope"),
        ("run", "nope"),
    ],
)
def test_wrong_usage_ends_with_2(nbops: Nbops, local: Path, arguments: tuple[str, ...]) -> None:
    told = nbops(*arguments)
    assert told.code == 2
    assert told.out or told.err


def test_wrong_usage_is_json_when_that_was_asked_for(nbops: Nbops) -> None:
    told = nbops("deploy", "--nope", "--json")
    assert json.loads(told.out)["problems"][0]["message"].startswith("No such option: --nope")


def test_json_after_two_dashes_belongs_to_the_command(nbops: Nbops, local: Path) -> None:
    told = nbops("exec", "nobody", "--", "jq", "--json")
    assert told.code == 2
    assert told.err.startswith("error: ")


def test_it_says_its_version(process: Nbops) -> None:
    assert process("--version") == Told(0, f"nbops {__version__}\n", "")


def test_help_names_every_command_and_exit_code(process: Nbops) -> None:
    told = process("--help")
    for word in ("deploy", "run", "exec", "lab", "lock", "history", "show", "init", "actions"):
        assert f"  {word} " in told.out
    assert "130 interrupted" in told.out


def test_help_loads_nothing_that_costs_time() -> None:
    script = (
        "import sys\n"
        "from nbops.cli.main import call\n"
        "call(['--help'])\n"
        "print(sorted({'paramiko', 'fabric', 'rich', 'jinja2', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    command = f"{sys.executable} -m nbops actions | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert done.stdout.startswith("ACTION")
    assert done.stderr == ""


def test_a_terminal_of_few_letters_is_no_reason_to_fail(process: Nbops) -> None:
    told = process("run", "--help", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert told.code == 0


def test_ctrl_c_ends_a_command_on_a_host_and_says_so(local: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "nbops", "exec", "here", "--", "echo up; exec sleep 4321"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("TASK")
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "killed" in err
    assert "sleep\x004321" not in _all_processes()


def _all_processes() -> str:
    found = ""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_text(errors="replace") + "\n"
        except OSError:
            continue  # it ended meanwhile
    return found
