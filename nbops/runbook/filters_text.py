"""Filters on text: encodings, JSON and YAML, regular expressions, paths, quoting."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import posixpath
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import yaml

from nbops.base.command import quote

# The name space in which Ansible makes UUIDs from text.
_UUID_SPACE = "361E6D51-FAEC-444A-9079-341386DA8E2E"
_URL_PARTS = (
    "fragment",
    "hostname",
    "netloc",
    "password",
    "path",
    "port",
    "query",
    "scheme",
    "username",
)


def _str(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _bytes(value: Any, encoding: str = "utf-8") -> bytes:
    return value if isinstance(value, bytes) else _str(value).encode(encoding, "surrogateescape")


def b64encode(value: Any, encoding: str = "utf-8") -> str:
    """Text as base64 of its bytes."""
    return base64.b64encode(_bytes(value, encoding)).decode("ascii")


def b64decode(value: Any, encoding: str = "utf-8") -> str:
    """The text that base64 stands for."""
    return base64.b64decode(_str(value)).decode(encoding, "surrogateescape")


def hashed(value: Any, hashtype: str = "sha1") -> str:
    """A digest of a text, in hexadecimal."""
    if hashtype not in hashlib.algorithms_available:
        raise ValueError(f"there is no hash `{hashtype}`")
    digest = hashlib.new(hashtype, usedforsecurity=False)
    digest.update(_bytes(value))
    return digest.hexdigest()


def to_uuid(value: Any, namespace: str = _UUID_SPACE) -> str:
    """A UUID that is always the same for the same text."""
    return str(uuid.uuid5(uuid.UUID(str(namespace)), _str(value)))


def shell_quote(value: Any) -> str:
    """One word of a shell, whatever it holds."""
    return quote("" if value is None else _str(value))


def _json_default(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def to_json(value: Any, **options: Any) -> str:
    """JSON on one line; options as Python's `json.dumps`."""
    return json.dumps(value, default=_json_default, **options)


def to_nice_json(value: Any, indent: int = 4, sort_keys: bool = True, **options: Any) -> str:
    """JSON to be read."""
    given = {"separators": (",", ": "), "indent": indent, "sort_keys": sort_keys} | options
    return to_json(value, **given)


def from_json(value: Any) -> Any:
    """The value of a JSON text."""
    return json.loads(value)


class _Dumper(yaml.SafeDumper):
    """Writes without anchors: the same value twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def to_yaml(value: Any, default_flow_style: bool | None = None, **options: Any) -> str:
    """YAML with simple lists and mappings on one line."""
    given: dict[str, Any] = {
        "allow_unicode": True,
        "default_flow_style": default_flow_style,
    } | options
    text: str = yaml.dump(value, Dumper=_Dumper, **given)
    return _without_end(text)


def to_nice_yaml(value: Any, indent: int = 4, **options: Any) -> str:
    """YAML to be read."""
    return to_yaml(value, **({"indent": indent, "default_flow_style": False} | options))


def _without_end(text: str) -> str:
    return text.removesuffix("...\n")


def from_yaml(value: Any) -> Any:
    """The value of a YAML text; None is None."""
    if value is None:
        return None
    return yaml.safe_load(_str(value))


def from_yaml_all(value: Any) -> list[Any]:
    """The values of the documents in a YAML text."""
    return list(yaml.safe_load_all(_str(value)))


def _flags(ignorecase: bool, multiline: bool) -> int:
    return (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)


def regex_replace(  # noqa: PLR0917 - the arguments that Ansible's filter has
    value: Any,
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
    mandatory_count: int = 0,
) -> str:
    """A text with every match replaced (or the first `count`)."""
    found = re.compile(pattern, _flags(ignorecase, multiline))
    text, number = found.subn(_str(replacement), _str(value), count=count)
    if mandatory_count and number != mandatory_count:
        raise ValueError(
            f"'{pattern}' should match {mandatory_count} times, but matches {number} times"
        )
    return text


def regex_search(
    value: Any, pattern: str, *groups: Any, ignorecase: bool = False, multiline: bool = False
) -> Any:
    """The first match, or its groups (`\\1`, `\\g<name>`) as a list; None without a match."""
    wanted: list[str | int] = []
    for group in groups:
        named = re.fullmatch(r"\\g<(\S+)>", str(group))
        numbered = re.fullmatch(r"\\(\d+)", str(group))
        if not named and not numbered:
            raise ValueError("Unknown argument")
        wanted.append(named[1] if named else int(numbered[1] if numbered else 0))
    match = re.search(pattern, _str(value), _flags(ignorecase, multiline))
    if match is None:
        return None
    return [match.group(group) for group in wanted] if wanted else match.group()


def regex_findall(
    value: Any, regex: str, multiline: bool = False, ignorecase: bool = False
) -> list[Any]:
    """Every match of a text."""
    return re.findall(regex, _str(value), _flags(ignorecase, multiline))


def regex_escape(value: Any, re_type: str = "python") -> str:
    """A text as a regular expression that matches just that."""
    if re_type == "python":
        return re.escape(_str(value))
    if re_type == "posix_basic":
        return re.sub(r"([].[^$*\\])", r"\\\1", _str(value))
    raise ValueError(f"Invalid regex type ({re_type})")


def split(value: Any, *args: Any, **kwargs: Any) -> list[str]:
    """A text split at white space, or at a separator."""
    return _str(value).split(*args, **kwargs)


def url_parts(value: Any, query: str = "") -> Any:
    """The parts of a URL as a mapping, or one of them."""
    parts = urlsplit(_str(value))
    found = {name: getattr(parts, name) for name in _URL_PARTS}
    if not query:
        return found
    if query not in found:
        raise ValueError(f"urlsplit: unknown URL component: {query}")
    return found[query]


def path_join(paths: Any) -> str:
    """Parts of a path as one."""
    parts = [paths] if isinstance(paths, str) else [_str(path) for path in paths]
    return posixpath.join(*parts)


def commonpath(paths: Any) -> str:
    """The folder that several paths share."""
    return posixpath.commonpath([_str(path) for path in paths])


def relpath(path: Any, start: Any = os.curdir) -> str:
    """A path as seen from another."""
    return posixpath.relpath(_str(path), _str(start))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "b64decode": b64decode,
    "b64encode": b64encode,
    "basename": lambda path: posixpath.basename(_str(path)),
    "checksum": hashed,
    "commonpath": commonpath,
    "dirname": lambda path: posixpath.dirname(_str(path)),
    "from_json": from_json,
    "from_yaml": from_yaml,
    "from_yaml_all": from_yaml_all,
    "hash": hashed,
    "md5": lambda value: hashed(value, "md5"),
    "normpath": lambda path: posixpath.normpath(_str(path)),
    "path_join": path_join,
    "quote": shell_quote,
    "regex_escape": regex_escape,
    "regex_findall": regex_findall,
    "regex_replace": regex_replace,
    "regex_search": regex_search,
    "relpath": relpath,
    "sha1": hashed,
    "split": split,
    "splitext": lambda path: posixpath.splitext(_str(path)),
    "to_json": to_json,
    "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml,
    "to_uuid": to_uuid,
    "to_yaml": to_yaml,
    "urldecode": lambda value: unquote_plus(_str(value)),
    "urlsplit": url_parts,
}
