"""YAML with positions: plain dicts and lists that remember where each value stands.

What comes out are ordinary values (so templates and models take them as they are); maps and
lists are subclasses that know the place of each key and value. Duplicate keys, anchors that
explode, recursive anchors and tags of other tools are refused with their place.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from nbops.base.errors import Place, Problem, UsageError

MAX_NODES = 200_000
MAX_DEPTH = 200  # beyond some thousands the parser's own stack would end the process
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_PLAIN = (
    "then put it into a file of its own (mode 0600): among the settings of `nocobase:` that is "
    "{file: PATH}, elsewhere \"{{ lookup('file', 'PATH') }}\""
)
_VAULT = "$ANSIBLE_VAULT;"
_REFUSED_TAGS = {
    "!vault": "a value encrypted with Ansible Vault; its lines, without the indentation, given to "
    f"`ansible-vault decrypt --output -`, come out as plain text; {_PLAIN}",
    "!unsafe": "nbops never renders what comes from a host; write the value without the tag",
}


class YamlMap(dict[Any, Any]):
    """A mapping that knows where it, its keys and its values stand."""

    def __init__(self, place: Place | None = None) -> None:
        super().__init__()
        self.place = place
        self.key_places: dict[Any, Place] = {}
        self.value_places: dict[Any, Place] = {}

    def put(self, key: Any, value: Any, key_place: Place | None, value_place: Place | None) -> None:
        """Set a key together with its places."""
        self[key] = value
        if key_place:
            self.key_places[key] = key_place
        if value_place:
            self.value_places[key] = value_place


class YamlSeq(list[Any]):
    """A list that knows where it and its items stand."""

    def __init__(self, place: Place | None = None) -> None:
        super().__init__()
        self.place = place
        self.item_places: list[Place] = []


def place_of(data: Any, loc: Sequence[Any] = (), *, key: bool = False) -> Place | None:
    """Where the value at `loc` (keys and indexes, as in a pydantic error) stands.

    With `key`, the place of the last key itself. The nearest enclosing place that is known
    is given when `loc` leads nowhere; None when `data` did not come from a file.
    """
    found: Place | None = getattr(data, "place", None)
    for step, part in enumerate(loc):
        last = step == len(loc) - 1
        if isinstance(data, YamlMap) and part in data:
            places = data.key_places if key and last else data.value_places
            found = places.get(part, found)
            data = data[part]
        elif isinstance(data, YamlSeq) and isinstance(part, int) and part < len(data):
            found = data.item_places[part] if part < len(data.item_places) else found
            data = data[part]
        elif isinstance(data, YamlMap | YamlSeq):
            continue
        else:
            break
    return found


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word that is most like `word`, when one is like it at all."""
    matches = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, valid: Iterable[str]) -> str | None:
    """A hint that names the valid word nearest to `word`, or None."""
    match = nearest(word, valid)
    return f"did you mean `{match}`?" if match else None


def load_text(text: str, file: str) -> Any:
    """The one YAML document in `text`; `file` is the name used in places.

    Returns None for an empty document. Raises UsageError with every duplicate key and every
    refused tag at once, or with the first syntax error.
    """
    try:
        _check_depth(text, file)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            reader = _Reader(loader, file)
            data = reader.value(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _syntax_error(error, file) from None
    except RecursionError:
        raise UsageError("nested too deeply", place=Place(file, 1)) from None
    if reader.problems:
        raise UsageError.of(reader.problems)
    return data


def load_file(path: Path, name: str | None = None) -> Any:
    """The YAML document in a file; `name` is what places call it (default: the path given).

    Raises UsageError when the file cannot be read, is not UTF-8, or is not valid YAML.
    """
    shown = name or str(path)
    return load_text(read_file(path, shown), shown)


def read_file(path: Path, shown: str) -> str:
    """The text of a file, which is called `shown`. Raises UsageError when it cannot be read, is not
    UTF-8, or is encrypted as a whole."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{shown}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{shown}: is a folder, not a file") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError("not UTF-8 text", place=Place(shown, line)) from None
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror or error}") from None
    if text.startswith(_VAULT):
        raise UsageError(
            "the whole file is encrypted with Ansible Vault, which nbops does not read",
            place=Place(shown, 1),
            hint=f"`ansible-vault decrypt {path}` writes it as plain text; {_PLAIN}",
        )
    return text


def _check_depth(text: str, file: str) -> None:
    """Raise UsageError when values are nested too deeply. What cannot be deep is not parsed for
    it: a level costs a bracket, or a column at the beginning of a line."""
    columns = max((len(line) - len(line.lstrip(" \t-?:")) for line in text.split("\n")), default=0)
    if max(columns, text.count("[") + text.count("{")) <= MAX_DEPTH:
        return
    depth = 0
    events: Any = yaml.parse(text, Loader=_LOADER)
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                place = Place(file, mark.line + 1, mark.column + 1)
                raise UsageError("nested too deeply", place=place)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    """Turns YAML nodes into values with places."""

    def __init__(self, loader: Any, file: str) -> None:
        self._loader = loader
        self._file = file
        self._count = 0
        self._open: set[int] = set()
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise UsageError(
                f"more than {MAX_NODES} values once its anchors are followed",
                place=self._place(node),
                hint="write out what is needed instead of nesting anchors",
            )
        if id(node) in self._open:
            raise UsageError("an anchor that contains itself", place=self._place(node))
        if self._refused(node):
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._map(node)
            if isinstance(node, yaml.SequenceNode):
                return self._seq(node)
            return self._scalar(node)
        finally:
            self._open.discard(id(node))

    def _refused(self, node: yaml.Node) -> bool:
        tag = str(node.tag)
        if not tag.startswith("!"):
            if tag.startswith("tag:yaml.org,2002:python"):
                self.problems.append(Problem(f"tag `{tag}` is refused", self._place(node)))
                return True
            return False
        why = _REFUSED_TAGS.get(tag)
        self.problems.append(Problem(f"tag `{tag}` is not supported", self._place(node), why))
        return True

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except ValueError as error:
            self.problems.append(Problem(f"{node.value!r:.80}: {error}", self._place(node)))
        except Exception:  # noqa: BLE001 - what the library says of a value its tag does not fit
            kind = str(node.tag).rsplit(":", 1)[-1]
            self.problems.append(Problem(f"{node.value!r:.80} is no {kind}", self._place(node)))
        return None

    def _seq(self, node: yaml.SequenceNode) -> YamlSeq:
        result = YamlSeq(self._place(node))
        for child in node.value:
            result.append(self.value(child))
            result.item_places.append(self._place(child))
        return result

    def _map(self, node: yaml.MappingNode) -> YamlMap:
        result = YamlMap(self._place(node))
        merged: list[YamlMap] = []
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged.extend(self._merged(value_node))
                continue
            key = self.value(key_node)
            where = self._place(key_node)
            if not isinstance(key, Hashable):
                hint = 'a template stands in quotes: "{{ … }}"'
                self.problems.append(Problem("a key must be a plain value", where, hint))
                continue
            if key in result:
                first = result.key_places[key]
                self.problems.append(
                    Problem(
                        f"key `{key}` stands here a second time",
                        where,
                        f"the first one is on line {first.line}: keep one of them",
                    )
                )
                continue
            result.put(key, self.value(value_node), where, self._place(value_node))
        for other in merged:
            for key in other:
                if key not in result:
                    result.put(
                        key, other[key], other.key_places.get(key), other.value_places.get(key)
                    )
        return result

    def _merged(self, node: yaml.Node) -> list[YamlMap]:
        value = self.value(node)
        several = value if isinstance(value, YamlSeq) else [value]
        if all(isinstance(one, YamlMap) for one in several):
            return list(several)
        self.problems.append(Problem("`<<` takes a mapping or a list of them", self._place(node)))
        return []

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)


def _syntax_error(error: yaml.YAMLError, file: str) -> UsageError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1)
        context = f" ({error.context})" if error.context else ""
        return UsageError(
            f"not valid YAML: {error.problem or error}{context}",
            place=place,
            hint="look here and at the line before: indentation, quotes, brackets, a missing space",
        )
    return UsageError(f"not valid YAML: {' '.join(str(error).split())}", place=Place(file, 1))
