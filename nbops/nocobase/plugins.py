"""Plugin packages from the operator's computer: read and checked here, put on the nodes as the
app looks for them, `storage/plugins/NAME` (plugin-symlink.js of 2.2.15: a folder with a
`package.json`; a link to it in `node_modules` is made by the app at every start).
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nbops.base.command import quote
from nbops.base.errors import Place, Problem, UsageError
from nbops.nocobase.settings import ClusterSettings

RECORD = ".nbops-plugins.json"
WORK = ".nbops-plugins"
RECORD_FORMAT = 1
_RULE = "--"
_MOST_FILES = 50_000
_MOST_BYTES = 512 * 1024 * 1024
_NAME = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*")


@dataclass(frozen=True, slots=True)
class Package:
    """A plugin package: where it lies here, what it calls itself, and its checksum."""

    file: str
    name: str
    version: str
    sha256: str

    @property
    def mark(self) -> str:
        """What tells this package from every other one."""
        return f"{self.name}@{self.version}#{self.sha256[:12]}"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done in a storage folder: packages to put, names to remove."""

    put: tuple[Package, ...]
    remove: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.put or self.remove)

    @property
    def words(self) -> str:
        """The change for people."""
        parts = [f"put {one.name} {one.version}" for one in self.put]
        return ", ".join([*parts, *(f"remove {name}" for name in self.remove)])


def read_packages(
    files: Sequence[str], base: Path, places: Mapping[int, Place | None]
) -> tuple[Package, ...]:
    """The packages of `plugins.local`, in order; paths are relative to `base`.

    Raises UsageError with everything that is wrong with them, each at its place.
    """
    found: list[Package] = []
    problems: list[Problem] = []
    for number, file in enumerate(files):
        try:
            package = read_package(base / Path(file).expanduser())
        except ValueError as error:
            problems.append(Problem(f"{file}: {error}", places.get(number), _HINT))
            continue
        twin = next((one for one in found if one.name == package.name), None)
        if twin:
            what = f"{file}: {package.name} comes from {twin.file} already"
            problems.append(Problem(what, places.get(number), "keep one of the two"))
        found.append(package)
    if problems:
        raise UsageError.of(problems)
    return tuple(found)


def read_package(path: Path) -> Package:
    """One package, every file in it looked at. Raises ValueError for one that is not safe to
    unpack, or no plugin."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with tarfile.open(path, "r:gz") as archive:
            members = archive.getmembers()
            _check_members(members)
            manifest = _manifest(archive, members)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"not a package (.tgz): {error}") from None
    name, version = manifest.get("name"), manifest.get("version")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise ValueError("its package.json has no usable `name`")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError("its package.json has no usable `version`")
    return Package(str(path), name, version, digest)


def local_packages(settings: ClusterSettings) -> tuple[Package, ...]:
    """The packages that the settings of a cluster name. Raises UsageError as `read_packages`."""
    files = settings.common.plugins.local
    places = {at: settings.place("plugins", "local", at) for at in range(len(files))}
    return read_packages(files, settings.inventory.folder, places)


def as_data(packages: Sequence[Package]) -> list[dict[str, str]]:
    """The packages as plain data, under `plugins.packages` of a host's settings."""
    return [{**asdict(one), "mark": one.mark} for one in packages]


def packages_of(settings: Mapping[str, Any]) -> tuple[Package, ...]:
    """The packages as a host's settings hold them."""
    data: Iterable[Mapping[str, Any]] = (settings.get("plugins") or {}).get("packages") or ()
    keys = ("file", "name", "version", "sha256")
    return tuple(Package(*(str(one[key]) for key in keys)) for one in data)


def change(
    wanted: Sequence[Package], recorded: Mapping[str, str], there: Mapping[str, str]
) -> Change:
    """What must be done. `recorded` maps what nbops put to checksums; `there` maps the plugins
    of the folder to their versions. What nbops did not put is never removed."""
    names = {one.name for one in wanted}
    return Change(
        put=tuple(
            one
            for one in wanted
            if recorded.get(one.name) != one.sha256 or there.get(one.name) != one.version
        ),
        remove=tuple(sorted(name for name in recorded if name not in names)),
    )


def record_text(packages: Sequence[Package]) -> str:
    """The record of what nbops put: beside the plugins, so that it is shared as they are."""
    known = {one.name: {"version": one.version, "sha256": one.sha256} for one in packages}
    return json.dumps({"format": RECORD_FORMAT, "plugins": known}, indent=1, sort_keys=True) + "\n"


def read_record(text: str) -> dict[str, str]:
    """The checksums by name. Raises ValueError for a text that is no record."""
    if not text.strip():
        return {}
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("format") != RECORD_FORMAT:
        raise ValueError(f"not a record of format {RECORD_FORMAT}")
    return {str(name): str(one["sha256"]) for name, one in data["plugins"].items()}


def look_script(storage: str) -> str:
    """Prints the versions of the plugins that are there, then the record."""
    return f"""\
cd {quote(storage)} 2>/dev/null || exit 0
for manifest in plugins/*/package.json plugins/@*/*/package.json; do
    [ -f "$manifest" ] || continue
    name=${{manifest#plugins/}}
    version=$(sed -n 's/^ *"version" *: *"\\([^"]*\\)".*/\\1/p' "$manifest" | head -n 1)
    printf '%s\\t%s\\n' "${{name%/package.json}}" "$version"
done
echo {_RULE}
[ ! -f {RECORD} ] || cat {RECORD}
"""


def read_look(output: str) -> tuple[dict[str, str], dict[str, str]]:
    """The answer of `look_script`: versions by name, checksums of the record by name.

    Raises ValueError when the record is none.
    """
    plugins, _, record = output.partition(f"{_RULE}\n")
    rows = (line.split("\t") for line in plugins.splitlines() if "\t" in line)
    return {row[0]: row[1] for row in rows}, read_record(record)


def put_script(storage: str, staged: Mapping[str, str], work: Change, record: str) -> str:
    """Unpacks staged packages beside the plugins, swaps each in by renames, removes what is
    no longer wanted, and writes the record last: cut off anywhere, it can be run again.

    `staged` maps names to files on the host; `record` is one too.
    """
    lines = [
        "set -e",
        "umask 022",
        f"mkdir -p {quote(storage)}/plugins",
        f"cd {quote(storage)}",
        f"rm -rf {WORK}",
        f"mkdir {WORK}",
    ]
    for number, one in enumerate(work.put):
        new, old, place = f"{WORK}/new-{number}", f"{WORK}/old-{number}", _place(one.name)
        lines += [
            f"mkdir {new}",
            f"tar -xzf {quote(staged[one.name])} -C {new} --strip-components=1"
            " --no-same-owner --no-same-permissions",
            f"mkdir -p {quote(str(PurePosixPath(place).parent))}",
            f"[ ! -e {quote(place)} ] || mv {quote(place)} {old}",
            f"mv {new} {quote(place)}",
        ]
    lines += [f"rm -rf {quote(_place(name))}" for name in work.remove]
    lines += [
        f"rm -rf {WORK}",
        f"install -m 644 {quote(record)} {RECORD}.new",
        f"mv -f {RECORD}.new {RECORD}",
    ]
    return "\n".join(lines) + "\n"


_HINT = "a plugin's package is what `yarn build --tar` or `npm pack` makes"


def _place(name: str) -> str:
    return f"plugins/{name}"


def _check_members(members: Sequence[tarfile.TarInfo]) -> None:
    if len(members) > _MOST_FILES:
        raise ValueError(f"more than {_MOST_FILES} files")
    if sum(one.size for one in members) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES // 1048576} MiB when it is unpacked")
    tops: set[str] = set()
    for one in members:
        path = PurePosixPath(one.name)
        if path.is_absolute() or ".." in path.parts or "\\" in one.name:
            raise ValueError(f"`{one.name}` would be unpacked outside its folder")
        if not (one.isfile() or one.isdir()):
            raise ValueError(f"`{one.name}` is neither a file nor a folder, but a link or device")
        tops |= {path.parts[0]} if path.parts else set()
    if len(tops) != 1:
        raise ValueError("its files do not lie in one folder (`package/`)")


def _manifest(archive: tarfile.TarFile, members: Sequence[tarfile.TarInfo]) -> Mapping[str, Any]:
    for one in members:
        path = PurePosixPath(one.name)
        if len(path.parts) == 2 and path.name == "package.json":
            file = archive.extractfile(one)
            try:
                data = json.loads(file.read()) if file else None
            except ValueError as error:
                raise ValueError(f"its package.json cannot be read: {error}") from None
            if isinstance(data, dict):
                return data
    raise ValueError("there is no package.json in it")
