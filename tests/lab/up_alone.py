"""`up` in a process of its own, so that a test can kill it: NAME NODES IMAGES_FOLDER CACHE."""

import sys
from collections.abc import Sequence
from pathlib import Path

from nbops.base.events import Emit, Event
from nbops.lab.bringup import Sources
from nbops.lab.lab import Lab
from nbops.lab.layout import App, Wish


def main() -> None:
    name, nodes, folder, cache = sys.argv[1:]

    def images(app: App, versions: Sequence[str], _: Path, emit: Emit) -> Path:
        return Path(folder)

    def silent(event: Event) -> None:
        pass

    lab = Lab(name, silent, cache=Path(cache), sources=Sources(images, images))
    sys.stdout.write(f"{lab.up(Wish(nodes=int(nodes), app='sample'))}\n")


main()
