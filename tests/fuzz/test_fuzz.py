"""Spoilt runbooks and inventories: each loads or is refused, soon, and in little memory.

`make fuzz` runs it; what it found last is in docs/fuzzing.md.
"""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from nbops.base.errors import UsageError
from nbops.cli import foresee, wire
from nbops.cli.cluster import Cluster
from nbops.inventory.load import load_inventory
from nbops.runbook.lint import lint
from nbops.runbook.load import load_runbook
from tests.fuzz.hurried import hurried
from tests.fuzz.mutate import spoilt

pytestmark = pytest.mark.series

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("NBOPS_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("NBOPS_FUZZ_SEED", str(time.time_ns())))
SLOWEST = 60  # seconds by the clock: the machine may be busy
CPU = 10.0
MEMORY = 400 * 2**20
CATALOG = wire.catalog()

INVENTORY = """\
all:
  vars: {x: "{{ y }}", ansible_user: root}
  hosts:
    stray: {ansible_host: 10.0.0.1, ansible_port: 22}
  children:
    app:
      hosts:
        node[1:3].example: {ansible_ssh_common_args: "-o ProxyJump=a@b:22 -o Port=3"}
        web[a:c]:
      vars: &v {ansible_become: true, ansible_become_method: sudo}
    db:
      children: {app: }
      vars: {<<: *v, ansible_ssh_private_key_file: ~/.ssh/id}
"""


@dataclass
class Tally:
    """What came of the attempts."""

    loaded: int = 0
    refused: int = 0
    slowest: float = 0.0


def runbooks() -> Sequence[str]:
    """Texts to spoil: ours, each action's example, those of the comparison with Ansible."""
    own = [path.read_text("utf-8") for path in sorted((ROOT / "runbooks").glob("*.yml"))]
    cases = [
        yaml.safe_dump(case["play"], sort_keys=False)
        for path in sorted((ROOT / "tests/parity/cases").glob("*.yml"))
        for case in yaml.safe_load(path.read_text("utf-8"))
    ]
    lines = [
        "".join(f"    {line}\n" for line in spec.example.strip("\n").splitlines())
        for spec in CATALOG
    ]
    return [
        *own,
        *cases,
        *(f"- hosts: app\n  tasks:\n{one}" for one in lines),
    ]


def inventories() -> Sequence[str]:
    """Texts to spoil: the example, and one with what it does not show."""
    return [(ROOT / "inventory.example.yml").read_text("utf-8"), INVENTORY]


def check_runbook(path: Path) -> None:
    """Load, lint and match hosts, as `nbops run` does before it connects."""
    runbook = load_runbook(path, CATALOG)
    lint(runbook, CATALOG)
    foresee.check_hosts(runbook, load_inventory(path.parent / "good.yml"), None)


def check_inventory(path: Path) -> None:
    """Read everything of it that a run reads before it connects."""
    cluster = Cluster(path)
    if cluster.settings is None:
        cluster.check_endpoints()


def attempt(check: Callable[[Path], None], path: Path, text: str, tally: Tally) -> None:
    """Try one text; raises what a user should never see."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    began = time.process_time()
    with hurried(SLOWEST):
        try:
            check(path)
            tally.loaded += 1
        except UsageError as error:
            assert error.problems
            assert all(problem.message for problem in error.problems)
            tally.refused += 1
    tally.slowest = max(tally.slowest, time.process_time() - began)
    assert tally.slowest < CPU


@pytest.mark.parametrize(
    ("seeds", "check"),
    [(runbooks, check_runbook), (inventories, check_inventory)],
    ids=["runbooks", "inventories"],
)
def test_spoilt_files_are_refused(
    seeds: Callable[[], Sequence[str]],
    check: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng, tally, texts = random.Random(SEED), Tally(), seeds()  # noqa: S311
    (tmp_path / "good.yml").write_text(INVENTORY)
    path = tmp_path / "spoilt.yml"
    limit = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limit[1]))
    until = time.monotonic() + SECONDS / 2
    text = ""
    try:
        while time.monotonic() < until:
            text = spoilt(rng.choice(texts), rng)
            attempt(check, path, text, tally)
    except BaseException:
        kept = Path(f"/tmp/nbops-fuzz-{SEED}.yml")
        kept.write_bytes(text.encode("utf-8", "surrogatepass"))
        with capsys.disabled():
            print(f"\nseed {SEED}: what did it is in {kept}")  # noqa: T201
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{check.__name__}: {tally.loaded + tally.refused} files ({tally.loaded} loaded, "
            f"{tally.refused} refused), slowest {tally.slowest:.2f} s of CPU, peak {peak} MB, "
            f"seed {SEED}"
        )
