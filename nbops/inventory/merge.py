"""How the variables of several layers become those of one host.

Ansible's rule is that a later layer replaces a variable whole. The one exception is the
variable `nocobase:`, whose mappings are merged key by key, so that a host states only what
differs there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbops.base.yamlpos import YamlMap

MERGED_VARIABLE = "nocobase"
_SOURCE_KEYS = frozenset({"env", "file", "command"})


def merge_layers(layers: Iterable[YamlMap]) -> YamlMap:
    """The variables of all layers, the later ones winning; places stay with their values."""
    merged = YamlMap()
    for layer in layers:
        for key, value in layer.items():
            if key == MERGED_VARIABLE and value is None and key in merged:
                continue
            merge = key == MERGED_VARIABLE and isinstance(value, YamlMap)
            _put(merged, layer, key, _over(merged.get(key), value) if merge else value)
    return merged


def merge_maps(lower: YamlMap, upper: YamlMap) -> YamlMap:
    """`upper` over `lower`, mappings within mappings merged likewise.

    Where a secret comes from (`{file: …}`, `{env: …}`, `{command: …}`) is one value and
    replaced whole: of two sources none could be told to be the right one.
    """
    merged = YamlMap(upper.place or lower.place)
    for layer in (lower, upper):
        for key, value in layer.items():
            _put(merged, layer, key, _over(merged.get(key), value))
    return merged


def _put(merged: YamlMap, layer: YamlMap, key: Any, value: Any) -> None:
    merged.put(key, value, layer.key_places.get(key), layer.value_places.get(key))


def _over(lower: Any, upper: Any) -> Any:
    if not isinstance(lower, YamlMap) or not isinstance(upper, YamlMap):
        return upper
    return upper if _is_source(lower) or _is_source(upper) else merge_maps(lower, upper)


def _is_source(value: YamlMap) -> bool:
    if len(value) != 1:
        return False
    ((key, item),) = value.items()
    return key in _SOURCE_KEYS and isinstance(item, str | list)
