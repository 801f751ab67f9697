"""`up` in a process of its own, so that a test can kill it: NAME NODES IMAGES_FOLDER."""

import sys
from collections.abc import Sequence
from pathlib import Path

from nbops.base.events import Emit, Event
from nbops.lab.lab import Lab
from nbops.lab.layout import App


def main() -> None:
    name, nodes, folder = sys.argv[1:]

    def images(app: App, versions: Sequence[str], cache: Path, emit: Emit) -> Path:
        return Path(folder)

    def silent(event: Event) -> None:
        pass

    sys.stdout.write(f"{Lab(name, silent, images=images).up(int(nodes), 'sample')}\n")


main()
