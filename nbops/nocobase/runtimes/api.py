"""What a runtime must be able to do: texts for files and scripts, and their answers read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from nbops.base.command import Text
from nbops.base.secret import Secret, reveal
from nbops.nocobase.files import Wanted


@dataclass(frozen=True)
class NodePlan:
    """All that a runtime needs to know of one node.

    `environment` is the node's env file in normal service, `first_environment` the one of a
    start that may install or migrate (one process, upgrade not skipped). `image` is a
    repository with its tag. `several` tells that normal service means several processes.
    """

    cluster: str
    host: str
    image: str
    folder: str
    storage: str
    port: int
    environment: Secret = field(repr=False)
    first_environment: Secret = field(repr=False)
    app_key: Text = field(repr=False)
    several: bool = False


class Start(StrEnum):
    """In which of its two environments a node was started."""

    NODE = "node"
    FIRST = "first"


@dataclass(frozen=True, slots=True)
class NodeState:
    """What runs on a node now.

    `configuration` is the fingerprint that it was started with. `comes_back` tells whether
    it starts by itself with the machine.
    """

    there: bool = False
    running: bool = False
    exit_code: int = 0
    restarts: int = 0
    start: Start = Start.NODE
    configuration: str = ""
    image: str = ""
    since: str = ""
    comes_back: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ImageState:
    """An image as a node holds it: its id there, and its digests in registries."""

    image: str = ""
    digests: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        """Whether the node has the image."""
        return bool(self.image)

    @property
    def digest(self) -> str:
        """What names the same image everywhere: the registry's digest, else the id."""
        return self.digests[0].rpartition("@")[2] if self.digests else self.image

    def is_digest(self, digest: str) -> bool:
        """Whether the image is the one of this digest."""
        return digest in {self.image, *(one.rpartition("@")[2] for one in self.digests)}


class Runtime(Protocol):
    """A kind of runtime. Its methods are plain functions from arguments to text and back."""

    @property
    def kind(self) -> str:
        """Its name in the inventory."""

    def files(self, plan: NodePlan) -> Sequence[Wanted]:
        """The files that a node needs, in the order in which they are written."""

    def configuration(self, plan: NodePlan) -> str:
        """The fingerprint of all that a start depends on."""

    def image_script(self, image: str) -> str:
        """Prints what the node holds for this image."""

    def read_image(self, output: str) -> ImageState:
        """The answer of `image_script`."""

    def pull_script(self, image: str, digest: str, user: str) -> str:
        """Fetches the image; exactly that of `digest` when one is given. With a user, the
        password is read from standard input."""

    def state_script(self, plan: NodePlan) -> str:
        """Prints what runs on the node."""

    def read_state(self, output: str) -> NodeState:
        """The answer of `state_script`."""

    def start_script(self, plan: NodePlan, start: Start) -> str:
        """Starts the app anew as configured; it does not come back by itself yet."""

    def stop_script(self, plan: NodePlan, grace: int) -> str:
        """Stops the app, within so many seconds, and keeps it from coming back."""

    def come_back_script(self, plan: NodePlan, on: bool) -> str:
        """Lets the app start by itself with the machine, or not."""

    def log_script(self, plan: NodePlan, lines: int, since: str = "") -> str:
        """Prints the last lines of the app's log (0: all) from a start on."""


def fingerprint(plan: NodePlan, files: Sequence[Text]) -> str:
    """Tells configurations apart without telling what is in them: keyed with the app's key."""
    parts = "\0".join([plan.image, *map(reveal, files)])
    return hmac.new(reveal(plan.app_key).encode(), parts.encode(), hashlib.sha256).hexdigest()[:32]
