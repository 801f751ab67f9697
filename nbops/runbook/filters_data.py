"""Filters on lists and mappings. They move values without reading them: secrets stay in place."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, pass_environment
from jinja2.filters import sync_do_unique

from nbops.base.secret import Secret
from nbops.runbook.values import take, type_name

_MERGES = ("replace", "keep", "append", "prepend", "append_rp", "prepend_rp")


def combine(*terms: Any, recursive: bool = False, list_merge: str = "replace") -> dict[Any, Any]:
    """Mappings as one; what comes later wins, or is merged with `recursive`."""
    if list_merge not in _MERGES:
        raise ValueError(f"list_merge is one of {', '.join(_MERGES)}, not `{list_merge}`")
    result: dict[Any, Any] = {}
    for term in _flat(terms):
        if not isinstance(term, Mapping):
            raise ValueError(
                f"failed to combine variables, expected dicts but got a '{type_name(term)}'"
            )
        result = _merged(result, term, recursive, list_merge)
    return result


def _flat(terms: Iterable[Any]) -> Iterable[Any]:
    for term in terms:
        if _is_list(term):
            yield from _flat(term)
        else:
            yield term


def _merged(
    first: Mapping[Any, Any], second: Mapping[Any, Any], recursive: bool, list_merge: str
) -> dict[Any, Any]:
    result = dict(first)
    for key in second:
        value = second[key]
        old: Any = result.get(key)
        if key in result and recursive and isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = _merged(old, value, recursive, list_merge)
        elif key in result and _is_list(old) and _is_list(value):
            result[key] = _merged_lists(list(old), list(value), list_merge)
        else:
            result[key] = value
    return result


def _merged_lists(old: list[Any], new: list[Any], how: str) -> list[Any]:
    return {
        "replace": lambda: new,
        "keep": lambda: old,
        "append": lambda: old + new,
        "prepend": lambda: new + old,
        "append_rp": lambda: [one for one in old if one not in new] + new,
        "prepend_rp": lambda: new + [one for one in old if one not in new],
    }[how]()


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _list(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, Mapping) or not isinstance(value, Iterable) or isinstance(value, str):
        raise TypeError(f"{name} takes a list, not a {type_name(value)}")
    return value if isinstance(value, Sequence) else list(value)


def dict2items(
    mapping: Any, key_name: str = "key", value_name: str = "value"
) -> list[dict[str, Any]]:
    """A mapping as a list of `{key: …, value: …}`."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"dict2items requires a dictionary, got {type_name(mapping)} instead.")
    return [{key_name: key, value_name: value} for key, value in mapping.items()]


def items2dict(items: Any, key_name: Any = "key", value_name: Any = "value") -> dict[Any, Any]:
    """The reverse of `dict2items`."""
    if not _is_list(items):
        raise TypeError(f"items2dict requires a list, got {type_name(items)} instead.")
    result = {}
    for item in items:
        try:
            result[_as_key(item[key_name])] = item[value_name]
        except (KeyError, IndexError, TypeError):
            raise ValueError(
                f"items2dict requires each dictionary in the list to contain the keys "
                f"'{key_name}' and '{value_name}'"
            ) from None
    return result


def rekey_on_member(data: Any, key: str, duplicates: str = "error") -> dict[Any, Any]:
    """A list of mappings (or the values of one) by one of their members."""
    if duplicates not in {"error", "overwrite"}:
        raise ValueError("duplicates parameter to rekey_on_member has unknown value")
    result: dict[Any, Any] = {}
    for item in data.values() if isinstance(data, Mapping) else _list(data, "rekey_on_member"):
        if not isinstance(item, Mapping) or key not in item:
            raise ValueError(f"Key {key} was not found")
        name = _as_key(item[key])
        if name in result and duplicates == "error":
            raise ValueError(f"Key {name} is not unique, cannot convert to dict")
        result[name] = item
    return result


def _as_key(value: Any) -> Any:
    """A value as a key; a secret stays one."""
    return value if isinstance(value, Secret) else take(value)[0]


def flatten(value: Any, levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    """Nested lists as one, so many levels deep."""
    result: list[Any] = []
    for item in _list(value, "flatten"):
        if skip_nulls and (item is None or (isinstance(item, str) and item in {"None", "null"})):
            continue
        if not _is_list(item):
            result.append(item)
        elif levels is None:
            result.extend(flatten(item, None, skip_nulls))
        elif levels >= 1:
            result.extend(flatten(item, levels - 1, skip_nulls))
        else:
            result.append(item)
    return result


@pass_environment
def unique(
    environment: Environment,
    value: Any,
    case_sensitive: bool | None = None,
    attribute: str | int | None = None,
) -> list[Any]:
    """Each item once, in order; upper and lower case are alike unless `case_sensitive`."""
    return list(sync_do_unique(environment, value, bool(case_sensitive), attribute))


class _Bag:
    """Values that have been seen, those that cannot be hashed too; secrets by their value."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._hashed: set[Any] = set()
        self._others: list[Any] = []
        for value in values:
            self.add(value)

    def add(self, value: Any) -> None:
        key = take(value)[0]
        try:
            self._hashed.add(key)
        except TypeError:
            self._others.append(key)

    def __contains__(self, value: object) -> bool:
        key = take(value)[0]
        try:
            return key in self._hashed
        except TypeError:
            return key in self._others


def _once(values: Iterable[Any]) -> list[Any]:
    seen = _Bag()
    result = []
    for value in values:
        if value not in seen:
            seen.add(value)
            result.append(value)
    return result


def union(first: Any, second: Any) -> list[Any]:
    """What is in either list, each once, in the order of their appearance."""
    return _once([*_list(first, "union"), *_list(second, "union")])


def intersect(first: Any, second: Any) -> list[Any]:
    """What is in both lists, in the order of the first."""
    other = _Bag(_list(second, "intersect"))
    return _once(one for one in _list(first, "intersect") if one in other)


def difference(first: Any, second: Any) -> list[Any]:
    """What is in the first list and not in the second, in order."""
    other = _Bag(_list(second, "difference"))
    return _once(one for one in _list(first, "difference") if one not in other)


def symmetric_difference(first: Any, second: Any) -> list[Any]:
    """What is in one of two lists only."""
    return difference(first, second) + difference(second, first)


def zip_lists(*lists: Any) -> list[tuple[Any, ...]]:
    """Items of several lists side by side, as far as the shortest goes."""
    return list(zip(*lists, strict=False))


def zip_longest(*lists: Any, fillvalue: Any = None) -> list[tuple[Any, ...]]:
    """Items of several lists side by side, as far as the longest goes."""
    return list(itertools.zip_longest(*lists, fillvalue=fillvalue))


def product(*lists: Any, repeat: int = 1) -> list[tuple[Any, ...]]:
    """Every item of the first list with every item of the others."""
    return list(itertools.product(*lists, repeat=repeat))


def combinations(items: Any, length: int) -> list[tuple[Any, ...]]:
    """Every choice of so many items, in order."""
    return list(itertools.combinations(items, length))


def permutations(items: Any, length: int | None = None) -> list[tuple[Any, ...]]:
    """Every order of so many items."""
    return list(itertools.permutations(items, length))


@pass_environment
def extract(environment: Environment, item: Any, container: Any, morekeys: Any = None) -> Any:
    """What stands under `item` in a container, and under further keys in that."""
    keys = [item]
    if morekeys is not None:
        keys += list(morekeys) if _is_list(morekeys) else [morekeys]
    value = container
    for key in keys:
        value = environment.getitem(value, key)
    return value


def subelements(value: Any, subelements: Any, skip_missing: bool = False) -> list[tuple[Any, Any]]:
    """Each item of a list with each item of a list within it."""
    items = list(value.values()) if isinstance(value, Mapping) else _list(value, "subelements")
    if isinstance(subelements, str):
        keys = subelements.split(".")
    elif _is_list(subelements):
        keys = list(subelements)
    else:
        raise TypeError("subelements must be a list or a string")
    result = []
    for item in items:
        values: Any = item
        for key in keys:
            if not isinstance(values, Mapping):
                raise TypeError(f"the key {key} should point to a dictionary, got '{values}'")
            if key not in values:
                if skip_missing:
                    values = []
                    break
                raise ValueError(f"could not find '{key}' key in iterated item {item}")
            values = values[key]
        if not _is_list(values):
            raise TypeError(f"the key {keys[-1]} should point to a list, got '{values}'")
        result += [(item, one) for one in values]
    return result


FILTERS: Mapping[str, Callable[..., Any]] = {
    "combine": combine,
    "combinations": combinations,
    "dict2items": dict2items,
    "difference": difference,
    "extract": extract,
    "flatten": flatten,
    "intersect": intersect,
    "items2dict": items2dict,
    "permutations": permutations,
    "product": product,
    "rekey_on_member": rekey_on_member,
    "subelements": subelements,
    "symmetric_difference": symmetric_difference,
    "union": union,
    "unique": unique,
    "zip": zip_lists,
    "zip_longest": zip_longest,
}
