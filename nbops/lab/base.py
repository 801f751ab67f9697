"""The base tree that all machines share: built once, kept in the cache."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nbops.base.errors import LabError
from nbops.base.events import Emit
from nbops.lab import recipe
from nbops.lab.events import LabStep
from nbops.lab.locks import folder_lock
from nbops.lab.shell import run, tied

BUILD_DEADLINE = 1800
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_TREE = "base-"
_BUILDING = "building-"


def path_of(cache: Path, key: str) -> Path:
    """Where the base tree with this fingerprint is kept."""
    return cache / f"{_TREE}{key}"


def ensure(cache: Path, emit: Emit) -> Path:
    """The base tree, built now if it is not in the cache yet.

    Two calls at once build it once: the second waits for the first. Raises LabError when
    the mirror is not known or the build fails.
    """
    tree = path_of(cache, recipe.fingerprint())
    if tree.is_dir():
        return tree
    cache.mkdir(parents=True, exist_ok=True)
    emit(LabStep(name="base", message="building the machines' base tree (first time only)"))
    began = time.monotonic()
    with folder_lock(cache, deadline=BUILD_DEADLINE + 60):
        if not tree.is_dir():
            remove_half_built(cache)
            _build(cache, tree)
    emit(LabStep(name="base", message="base tree ready", seconds=time.monotonic() - began))
    return tree


def sweep(cache: Path) -> None:
    """Remove what an interrupted build left in a cache, unless a build is going on there."""
    if any(cache.glob(f"{_BUILDING}*")):
        with suppress(LabError), folder_lock(cache, deadline=0):
            remove_half_built(cache)


def remove_half_built(cache: Path) -> None:
    """Remove what an interrupted build left. The caller holds the cache's lock."""
    for folder in cache.glob(f"{_BUILDING}*"):
        run(["rm", "-rf", "--one-file-system", folder], deadline=300)


def remove_unused(cache: Path, keep: Iterable[Path]) -> None:
    """Remove older base trees, but those in `keep`: the trees that labs stand on."""
    kept = {*keep, path_of(cache, recipe.fingerprint())}
    with folder_lock(cache, deadline=BUILD_DEADLINE):
        for folder in cache.glob(f"{_TREE}*/"):
            if folder not in kept:
                run(["rm", "-rf", "--one-file-system", folder], deadline=300)


def mirror() -> str:
    """The address of the Debian archive that this box's own apt uses.

    Raises LabError when apt knows none.
    """
    listing = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(LABEL)|$(COMPONENT)|$(RELEASE)"]
    )
    found = choose_mirror(listing)
    if found is None:
        raise LabError(
            "apt on this machine knows no Debian archive",
            hint="run `apt-get update`; the machines are made from the archive apt is set to",
        )
    return found


def choose_mirror(listing: str) -> str | None:
    """The first Debian archive with `main` in lines of `address|label|component|release`."""
    for line in listing.splitlines():
        address, _, rest = line.partition("|")
        label, _, rest = rest.partition("|")
        component, _, _ = rest.partition("|")
        if label == "Debian" and component == "main":
            return address.rstrip("/")
    return None


def transport_settings(dump: str) -> str:
    """Those lines of `apt-config dump` that say how to reach an archive (proxies, TLS)."""
    wanted = ("Acquire::http", "Acquire::https", "Acquire::ftp", "Acquire::Retries")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(wanted))


def _build(cache: Path, tree: Path) -> None:
    log = cache / "base.log"
    log.unlink(missing_ok=True)
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=cache))
    root = building / "root"
    try:
        root.mkdir(mode=0o755)
        script = building / "build"
        script.write_text(recipe.build_script(), encoding="utf-8")
        apt_conf = building / "apt.conf"
        apt_conf.write_text(_apt_conf(), encoding="utf-8")
        settings = {
            "ROOT": str(root),
            "MIRROR": mirror(),
            "APT_CONF": str(apt_conf),
            "CA_BUNDLE": str(_CA_BUNDLE),
        }
        run(tied(["sh", script]), deadline=BUILD_DEADLINE, env=settings, log=log)
        os.rename(root, tree)  # noqa: PTH104  a folder is moved whole or not at all
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _apt_conf() -> str:
    settings = transport_settings(run(["apt-config", "dump"]))
    if _CA_BUNDLE.exists():
        settings += 'Acquire::https::CaInfo "/nbops-build-ca.crt";\n'
    return settings
