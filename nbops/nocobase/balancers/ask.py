"""Questions to balancers over HTTP: what does a visitor get now?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from nbops.actions.api import ActionContext
from nbops.base.command import quote
from nbops.nocobase.balancers.api import MARK
from nbops.nocobase.cluster import Cluster, bracket
from nbops.nocobase.health import HEALTH_PATH

_PATIENCE = 5
_PAUSE = 0.2


class Mode(StrEnum):
    """What a balancer is to answer."""

    MAINTENANCE = "maintenance"
    TRAFFIC = "traffic"


@dataclass(frozen=True, slots=True)
class Door:
    """An address to ask: the URL, and where to connect to when that is not what it says."""

    name: str
    url: str
    connect: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: HTTP status (0: none), and the headers, names in small letters."""

    status: int
    headers: Mapping[str, str]

    def fits(self, mode: Mode) -> bool:
        """Whether it is what a visitor gets in this mode."""
        if mode is Mode.TRAFFIC:
            return self.status == 200
        return self.status == 503 and bool(self.headers.get("retry-after"))

    @property
    def marked(self) -> bool:
        """Whether it is the 503 page of nbops, and not that of something else."""
        return MARK.lower() in self.headers

    def __str__(self) -> str:
        if not self.status:
            return "no answer"
        retry = "" if self.status != 503 or self.headers.get("retry-after") else ", no Retry-After"
        return f"HTTP {self.status}{retry}"


def doors(cluster: Cluster) -> tuple[Door, ...]:
    """Every balancer host, asked by the public name; and the public address where there is one."""
    part = cluster.part("balancer")
    address = str(part.get("address") or "")
    public = address if "://" in address or not address else f"http://{address}"
    found = [_door(cluster, member.host, member.address) for member in cluster.group("balancer")]
    if public:
        found.append(Door(f"the address {public}", public.rstrip("/")))
    return tuple(found)


def local_door(cluster: Cluster) -> Door:
    """A balancer as it is asked on its own host."""
    return _door(cluster, cluster.me.host, "127.0.0.1")


def look_script(asked: Sequence[Door]) -> str:
    """Asks every door at once for the app's health; a block for each answer. The certificate is
    not judged: what a visitor gets is the question."""
    asks = "\n".join(
        f"ask {number} {quote(door.url + HEALTH_PATH)} {quote(door.connect)} &"
        for number, door in enumerate(asked)
    )
    return f"""\
ask() {{
    set -- "$1" "$2" ${{3:+--connect-to "::$3"}}
    number=$1 url=$2; shift 2
    said=$(curl --silent --insecure --globoff --max-time {_PATIENCE} --noproxy '*' \\
        --output /dev/null --dump-header - "$@" "$url" | tr -d '\\r' | sed "s/^/$number /")
    printf '%s\\n' "$said"
}}
{asks}
wait
"""


def read_look(output: str, count: int) -> tuple[Said, ...]:
    """The answers of `look_script`, in the order of the doors."""
    heads: list[list[str]] = [[] for _ in range(count)]
    for line in output.splitlines():
        number, _, text = line.partition(" ")
        if number.isdigit() and int(number) < count:
            heads[int(number)].append(text)
    return tuple(_said(lines) for lines in heads)


def wait_for(
    ctx: ActionContext, asked: Sequence[Door], mode: Mode, seconds: float
) -> Mapping[Door, Said]:
    """Ask until every door answers as it must in this mode, at most so long. Gives the doors
    that do not."""
    end = time.monotonic() + seconds
    while True:
        answers = read_look(ctx.probe(look_script(asked)).out, len(asked)) if asked else ()
        wrong = {
            door: said for door, said in zip(asked, answers, strict=True) if not said.fits(mode)
        }
        if not wrong or time.monotonic() > end:
            return wrong
        ctx.progress(tell(wrong))
        ctx.stop.sleep(_PAUSE)


def tell(wrong: Mapping[Door, Said]) -> str:
    """Who answers what, in a line."""
    return "; ".join(f"{door.name}: {said}" for door, said in wrong.items())


def _said(lines: Sequence[str]) -> Said:
    status = 0
    headers: dict[str, str] = {}
    for line in lines:
        if line.startswith("HTTP/"):
            code = line.split(" ")[1] if " " in line else ""
            status, headers = int(code) if code.isdigit() else 0, {}
        elif ":" in line:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    return Said(status, headers)


def _door(cluster: Cluster, host: str, address: str) -> Door:
    part = cluster.part("balancer")
    scheme, usual = ("https", 443) if part.get("tls") else ("http", 80)
    port = int(part.get("port") or usual)
    public = str(part.get("address") or "")
    name = urlsplit(public if "://" in public else f"//{public}").hostname or address
    at = "" if port == usual else f":{port}"
    return Door(host, f"{scheme}://{bracket(name)}{at}", f"{bracket(address)}:{port}")
