"""Container images for the rehearsal machines, built on this box without a container engine.

`ensure` gives the storage folder of a registry that holds them; `registry_settings` the
settings with which the machines' registry serves it.
"""

from nbops.lab.images.build import ensure
from nbops.lab.images.folders import ensure_folders
from nbops.lab.images.plan import REQUIRED_PACKAGES
from nbops.lab.images.storage import RegistryStorage, registry_settings

__all__ = ["REQUIRED_PACKAGES", "RegistryStorage", "ensure", "ensure_folders", "registry_settings"]
