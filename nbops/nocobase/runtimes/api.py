"""What a runtime must be able to do: texts for files and scripts, and their answers read."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from nbops.base.command import Text
from nbops.base.secret import Secret, reveal
from nbops.nocobase.files import Wanted


@dataclass(frozen=True)
class NodePlan:
    """All that a runtime needs to know of one app on a node.

    `environment` is the app's env file in normal service, `first_environment` the one of a
    start that may install or migrate (one process, upgrade not skipped). `image` names what
    runs: an image with its tag, or a package with its version. `several` tells that normal
    service means several processes. `instance` counts the apps of the host from 1; each has
    a `folder` of its own, which for the first is the host's own (`home`). `user` is whom the
    app runs as where the runtime lets one choose. `package` is where the app of this version
    comes from (a file on this computer, or an http address; empty: the package registry) and
    `sha256` what it must be.
    """

    cluster: str
    host: str
    image: str
    home: str
    folder: str
    storage: str
    port: int
    environment: Secret = field(repr=False)
    first_environment: Secret = field(repr=False)
    app_key: Text = field(repr=False)
    several: bool = False
    instance: int = 1
    user: str = "root"
    package: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """What the app is called on its host; no cluster's name has a dot."""
        number = "" if self.instance == 1 else f".{self.instance}"
        return f"nocobase-{self.cluster}{number}"

    @property
    def version(self) -> str:
        """The version of what runs."""
        return re.split("[:@]", self.image)[-1]

    @property
    def upload(self) -> str:
        """The file on this computer that the app comes from; empty when there is none."""
        return "" if re.match("https?://", self.package) else self.package


# pm2 kills an app that is not done 1.6 s after it was told to stop, unless told otherwise; in
# milliseconds, and less than the time after which systemd or Docker would kill both.
STOP_SECONDS = 60
PM2_PATIENCE = {"PM2_KILL_TIMEOUT": str((STOP_SECONDS - 5) * 1000)}


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


@dataclass(frozen=True, slots=True)
class Pull:
    """How an image is brought to a node: exactly that of `digest` when one is given; with a
    `user` of the registry, whose password is read from standard input; from `staged`, where
    the plan's `upload` lies on the host; `aside` is a path in the run's folder, for what must
    not outlive the run."""

    digest: str = ""
    user: str = ""
    staged: str = ""
    aside: str = ""


class Runtime(Protocol):
    """A kind of runtime. Its methods are plain functions from arguments to text and back."""

    @property
    def kind(self) -> str:
        """Its name in the inventory."""

    @property
    def folder_mode(self) -> int:
        """The mode of a node's folders."""

    def files(self, plan: NodePlan) -> Sequence[Wanted]:
        """The files that an app needs, in the order in which they are written."""

    def written(self, plan: NodePlan) -> Sequence[str]:
        """The files that a start writes beside those."""

    def configuration(self, plan: NodePlan) -> str:
        """The fingerprint of all that a start depends on."""

    def image_script(self, plan: NodePlan) -> str:
        """Prints what the node holds for this image."""

    def read_image(self, output: str) -> ImageState:
        """The answer of `image_script`."""

    def pull_script(self, plan: NodePlan, pull: Pull) -> str:
        """Brings the image to the node, while an older one serves."""

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

    def log_script(
        self, plan: NodePlan, lines: int, since: str = "", *, follow: bool = False
    ) -> str:
        """Prints the last lines of the app's log (0: all) from a start on; with `follow`, also
        what is written from now on, until it is ended."""

    def instances_script(self, plan: NodePlan) -> str:
        """Prints the names of the cluster's apps that this runtime has on the host, whether
        they run or not; nothing, with success, on a host without this runtime."""

    def remove_script(self, name: str, grace: int) -> str:
        """Stops an app by its name and removes it; harmless when it is not there."""


def names_of(plan: NodePlan, output: str) -> list[str]:
    """The names in an answer of `instances_script` that are apps of the plan's cluster."""
    ours = re.compile(rf"nocobase-{re.escape(plan.cluster)}(\.\d+)?")
    return [name for name in output.split() if ours.fullmatch(name)]


def fingerprint(plan: NodePlan, files: Sequence[Text]) -> str:
    """Tells configurations apart without telling what is in them: keyed with the app's key."""
    parts = "\0".join([plan.image, *map(reveal, files)])
    return hmac.new(reveal(plan.app_key).encode(), parts.encode(), hashlib.sha256).hexdigest()[:32]
