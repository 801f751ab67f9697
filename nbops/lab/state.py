"""What a lab keeps on the box: folders, and the record of its shape."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nbops.base.errors import LabError
from nbops.lab.layout import Machine, Shape, Subnet, Wish, machines, wanted_shape

STATE_ROOT = Path("/var/lib/nbops/lab")
CACHE = Path("/var/cache/nbops/lab")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the things of one lab are."""

    root: Path

    @property
    def record(self) -> Path:
        """The lab's number and shape, written before anything is made."""
        return self.root / "lab.json"

    @property
    def inventory(self) -> Path:
        """Written last: it is there when the lab was once complete."""
        return self.root / "inventory.yml"

    @property
    def key(self) -> Path:
        """The private key for root on every machine."""
        return self.root / "key"

    @property
    def known_hosts(self) -> Path:
        """The machines' own keys."""
        return self.root / "known_hosts"

    @property
    def secrets(self) -> Path:
        """What the inventory's `{file: …}` point at."""
        return self.root / "secrets"

    @property
    def sudo_password(self) -> Path:
        """The password that the login `duty` needs for sudo."""
        return self.secrets / "sudo_password"

    @property
    def storage(self) -> Path:
        """The folder that all nodes share."""
        return self.root / "storage"

    @property
    def images(self) -> Path:
        """A link to the storage folder that the lab's registry serves."""
        return self.root / "images"

    @property
    def packages(self) -> Path:
        """The folder of links to the app as packed folders, one for each version."""
        return self.root / "packages"

    @property
    def package(self) -> str:
        """The path of such a link, with `{version}` for the version."""
        return f"{self.packages}/app-{{version}}.tar.gz"

    @property
    def machines(self) -> Path:
        """The folder of the machines' folders."""
        return self.root / "machines"

    def machine(self, host: str) -> Disk:
        """The folders of one machine."""
        return Disk(self.machines / host)


@dataclass(frozen=True, slots=True)
class Disk:
    """Where the things of one machine are. All but the base tree survives its reboot."""

    root: Path

    @property
    def upper(self) -> Path:
        """What the machine has written over the base tree."""
        return self.root / "upper"

    @property
    def work(self) -> Path:
        """Overlayfs's own."""
        return self.root / "work"

    @property
    def merged(self) -> Path:
        """The machine's `/`."""
        return self.root / "merged"

    @property
    def docker(self) -> Path:
        """The machine's `/var/lib/docker`: overlay2 does not stack on an overlay."""
        return self.root / "docker"

    @property
    def public_key(self) -> Path:
        """The machine's own key: there once the disk has its identity."""
        return self.root / "public_key"

    @property
    def runner(self) -> Path:
        """The script that keeps the machine running."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """The machine's console, its whole journal included."""
        return self.root / "console.log"


@dataclass(frozen=True, slots=True)
class Record:
    """A lab as it was asked for. `base` is the fingerprint of its base tree."""

    name: str
    subnet: Subnet
    shape: Shape
    base: str

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All machines of the lab."""
        return machines(self.subnet, self.shape)


def write_record(folders: Folders, record: Record) -> None:
    """Write the record, whole or not at all."""
    data = {
        "format": _FORMAT,
        "name": record.name,
        "number": record.subnet.number,
        "base": record.base,
        **asdict(record.shape),
    }
    write_file(folders.record, json.dumps(data, indent=2) + "\n")


def read_record(folders: Folders) -> Record | None:
    """The record, or None when there is none yet. LabError when it cannot be understood."""
    try:
        text = folders.record.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        data = json.loads(text)
        shape = wanted_shape(Wish(**{one.name: data.get(one.name) for one in fields(Wish)}))
        return Record(str(data["name"]), Subnet(int(data["number"])), shape, str(data["base"]))
    except (LabError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(
            f"{folders.record} is not a lab's record: {error}",
            hint=f"`nbops lab down --name {folders.root.name}` removes what is left of it",
        ) from error


def write_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file under a temporary name, then rename it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    draft.chmod(mode)
    draft.rename(path)
