"""`nbops report`: the web page of a past run, as a file."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.cli.cli_told import Nbops

Write = Callable[[str], Path]
ROOT = Path(__file__).parents[2]


def only_run(nbops: Nbops) -> str:
    (only,) = json.loads(nbops("history", "--json").out)
    return str(only["run"])


def test_the_latest_run_becomes_a_file_that_only_its_owner_reads(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    nbops("run", runbook("- debug: {msg: the first}"))
    nbops("run", runbook("- debug: {msg: the second}"))
    told = nbops("report")
    latest = json.loads(nbops("history", "--json").out)[0]["run"]
    file = Path(f"report-{latest}.html")
    assert (told.code, told.out, told.err) == (0, f"{file}\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "the second" in file.read_text()
    assert "the first" not in file.read_text()


def test_a_run_is_named_by_the_beginning_of_its_name(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    nbops("run", runbook("- debug: {msg: hello}"))
    run = only_run(nbops)
    told = nbops("report", run[:-3], "-o", "page.html", "--json")
    assert json.loads(told.out) == {"run": run, "file": "page.html"}
    assert run in Path("page.html").read_text()


def test_a_failed_run_is_told_with_its_cause_and_its_output(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    nbops("run", runbook("- name: Break it\n  shell: echo '<b>lost</b>' >&2; exit 3"))
    page = nbops("report", "-o", "-").out
    assert "Break it" in page
    assert "&lt;b&gt;lost&lt;/b&gt;" in page
    assert "<b>lost</b>" not in page
    assert "exit status 3" in page


def test_what_a_host_writes_that_is_no_text_does_not_hinder_it(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    nbops("run", runbook(r"- command: printf 'caf\351 \033[31mred\033[0m \000 end'"))
    assert nbops("report", "-o", "page.html").code == 0
    page = Path("page.html").read_bytes().decode("utf-8")
    assert "red  end" in page
    assert "\x1b" not in page


def test_an_interrupted_run_is_told_with_the_way_on(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    path = runbook("- name: Wait\n  command: sleep 60")
    command = [sys.executable, "-m", "nbops", "run", str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    ) as one:
        assert one.stdout is not None
        assert any("TASK Wait" in row for row in one.stdout)
        time.sleep(0.5)
        one.send_signal(signal.SIGINT)
        one.communicate(timeout=30)
    assert one.returncode == 130
    run = only_run(nbops)
    page = nbops("report", "-o", "-").out
    assert "interrupted" in page
    assert f"`nbops resume {run}` goes on" in page.split("What to do:")[1]
    assert nbops("abort", run).code == 0


def test_a_secret_of_the_run_is_not_in_the_page(nbops: Nbops, local: Path, runbook: Write) -> None:
    path = runbook(
        "- shell: echo $word-{{ word }}\n  environment: {word: '{{ admin_password }}'}\n"
        "- debug: {msg: hello}"
    )
    secret = "k3pt-to-itself"
    Path("more.yml").write_text(f"admin_password: {secret}\nword: {secret[::-1]}\n")
    Path("more.yml").chmod(0o600)
    assert nbops("run", path, "-e", "@more.yml").code == 0
    page = nbops("report", "-o", "-").out
    assert secret not in page
    assert f"********-{secret[::-1]}" in page


def test_a_file_that_is_there_is_replaced_at_once_and_a_link_to_it_stays(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    nbops("run", runbook("- debug: {msg: hello}"))
    Path("pages").mkdir()
    Path("pages/old.html").write_text("old")
    Path("pages/old.html").chmod(0o644)
    Path("link.html").symlink_to("pages/old.html")
    with Path("pages/old.html").open() as reader:
        assert nbops("report", "-o", "link.html").code == 0
        assert reader.read() == "old"  # whoever reads the old page goes on reading it
    assert Path("link.html").is_symlink()
    assert "hello" in Path("pages/old.html").read_text()
    assert stat.S_IMODE(Path("pages/old.html").stat().st_mode) == 0o600
    assert [one.name for one in Path("pages").iterdir()] == ["old.html"]


def test_what_is_no_file_or_cannot_be_written_is_refused(
    nbops: Nbops, local: Path, runbook: Write
) -> None:
    nbops("run", runbook("- debug: {msg: hello}"))
    Path("folder").mkdir()
    os.mkfifo("pipe")
    for name in ("folder", "pipe"):
        told = nbops("report", "-o", name)
        assert told.code == 2
        assert f"{name} is not a file" in told.err
    assert Path("pipe").is_fifo()
    assert nbops("report", "-o", "nowhere/page.html").code == 2
    assert nbops("report", "-o", "-", "--json").code == 2


def test_a_run_that_is_not_there_is_refused_with_the_way_to_those_that_are(nbops: Nbops) -> None:
    for told in (nbops("report"), nbops("report", "20200101")):
        assert told.code == 2
        assert "nbops history" in told.err
    assert not list(Path().glob("*.html"))


def test_the_package_brings_the_pages_template_and_style(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    assert {"nbops/report/page.html", "nbops/report/page.css"} <= {
        one.filename for one in zipfile.ZipFile(wheel).infolist()
    }
