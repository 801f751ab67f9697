"""Shell for what the kinds of database share: a dump that says how far it is, and packing.
Pure."""

from __future__ import annotations

from nbops.base.command import quote

# The first that is there; what is packed by one is unpacked by it. zstd and pigz use all cores.
_PACKERS = (("zstd", "zstd -q -T0 -1", "zst"), ("pigz", "pigz -1", "gz"), ("gzip", "gzip -1", "gz"))


def fed(text: str, command: str) -> str:
    """A line of shell that gives `text` to a command's standard input; the text stands in no
    argument list (`printf` is built into every `sh`)."""
    return f"printf '%s\\n' {quote(text)} | {command}"


def watched(command: str, file: str) -> str:
    """Runs `command`, which writes `file`, and prints `at BYTES` each second that it grew."""
    path = quote(file)
    return f"""\
(
    last=
    while sleep 1 >/dev/null 2>&1; do
        size=$(stat -c %s {path} 2>/dev/null) || continue
        [ "$size" = "$last" ] || echo "at $size"
        last=$size
    done
) & watcher=$!
{command}
status=$?
kill "$watcher" 2>/dev/null
[ "$status" = 0 ] || exit "$status"
"""


def room_script(path: str) -> str:
    """Prints `free MEBIBYTES`: the room where `path` (a word of the shell) is or will be."""
    return f"""\
at={path}
while [ ! -d "$at" ]; do at=$(dirname "$at"); done
printf 'free\\t%s\\n' "$(df -Pk "$at" | awk 'NR == 2 {{ print int($4 / 1024) }}')"
"""


def packer_script() -> str:
    """Prints `packer NAME`: what there is on the host."""
    names = " ".join(name for name, _, _ in _PACKERS)
    return f"""\
for one in {names}; do
    if command -v "$one" >/dev/null 2>&1; then printf 'packer\\t%s\\n' "$one"; break; fi
done
"""


def pack(packer: str) -> str:
    """The command that packs its input."""
    return next(command for name, command, _ in _PACKERS if name == packer)


def packed_ending(packer: str) -> str:
    """How the name of a file ends that it packed."""
    return next(ending for name, _, ending in _PACKERS if name == packer)


def unpack(file: str) -> str:
    """The command that unpacks a file to its output."""
    program = "zstd" if file.endswith(".zst") else "gzip"
    return f"{program} -q -d -c {quote(file)}"
