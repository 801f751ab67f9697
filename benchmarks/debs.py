"""Python for the machines of a lab, which have none on purpose: Ansible cannot do without.

The packages come from the archive that the box's own apt uses, chosen for what the machines
have already; the lab's base tree stays as it is.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from nbops.lab import base, recipe
from nbops.lab.state import CACHE
from tests.deploy.cluster import Cluster

_THERE = "command -v python3 || true"
# Unpacked, and compiled once, as an installation would do it.
_INSTALL = """\
for one in /root/debs/*.deb; do dpkg-deb --extract "$one" / || exit; done
rm -r /root/debs
python3 -m compileall -q /usr/lib/python3*
"""


def put_python(cluster: Cluster) -> None:
    """Install Python on every machine that has none."""
    groups = yaml.safe_load(cluster.inventory.read_text())["all"]["children"]
    hosts = [host for group in groups.values() for host in group["hosts"]]
    bare = [host for host in hosts if not cluster.on(host, _THERE).strip()]
    if not bare:
        return
    with tempfile.TemporaryDirectory() as folder:
        packages = download(Path(folder), "python3")
        for host in bare:
            disk = cluster.inventory.parent / "machines" / host / "merged/root/debs"
            disk.mkdir(exist_ok=True)
            for package in packages:
                shutil.copy(package, disk)
            cluster.on(host, _INSTALL)


def download(folder: Path, name: str) -> Sequence[Path]:
    """A package and what it needs beside the packages of the base tree."""
    tree = base.path_of(CACHE, recipe.fingerprint())
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True)
    keys = tree / "usr/share/keyrings/debian-archive-keyring.gpg"
    source = f"deb [signed-by={keys}] {base.mirror()} {recipe.SUITE} main\n"
    (folder / "sources.list").write_text(source)
    settings = {
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": tree / "var/lib/dpkg/status",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "--quiet", *(f"-o{key}={value}" for key, value in settings.items())]
    wanted = ["install", "--yes", "--no-install-recommends", "--download-only", name]
    for words in (["update"], wanted):
        subprocess.run([*apt, *words], check=True, stdout=subprocess.DEVNULL)
    return sorted((folder / "archives").glob("*.deb"))
