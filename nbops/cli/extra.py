"""`-e`: variables from the command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nbops.base.errors import UsageError
from nbops.base.paths import open_to_everyone
from nbops.base.secret import Secret
from nbops.base.yamlpos import load_file, load_text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(r"(?i)passw|passphrase|(^|_)pass($|_)|secret|token|private_key|api_?key")
# `use_token=true` and the like: to mask such a word everywhere would hide the output.
_ANSWERS = frozenset({"", "none", "true", "false", "yes", "no"})
_SECOND = re.compile(r"\s[A-Za-z_][A-Za-z0-9_]*=")


def extra_vars(texts: Iterable[str]) -> dict[str, Any]:
    """The variables of all `-e` options, a later one over an earlier.

    Each is `KEY=VALUE` (the value is text), `@FILE` (YAML or JSON), or a JSON object.
    Raises UsageError naming the option that cannot be read.
    """
    found: dict[str, Any] = {}
    for text in texts:
        found.update(_one(text))
    return found


def sealed(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables as they may be kept: what stands under a name that says that it is secret,
    however deep, is a Secret."""
    return {
        name: _sealed(value, bool(_SECRET_NAME.search(name))) for name, value in variables.items()
    }


def secret_vars(variables: Mapping[str, Any]) -> list[Secret]:
    """The values that `sealed` makes secrets of: they are shown nowhere."""
    return list(_secrets(sealed(variables)))


def _sealed(value: Any, secret: bool) -> Any:
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping):
        return {
            key: _sealed(item, secret or bool(_SECRET_NAME.search(str(key))))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_sealed(item, secret) for item in value]
    return Secret(str(value)) if secret and str(value).lower() not in _ANSWERS else value


def _secrets(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _secrets(item)


def _one(text: str) -> Mapping[str, Any]:
    if text.startswith("@"):
        return _file(Path(text[1:]), f"-e {text}")
    if text.lstrip().startswith(("{", "[")):
        return _checked(load_text(text, "-e"), "-e")
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise UsageError(
            f"-e {name}{equals and '=…'}: is not KEY=VALUE",
            hint="a name is letters, digits and `_`; a file is given as @FILE",
        )
    if value[:1] in {"'", '"'} and value[:1] == value[-1:] and len(value) > 1:
        return {name: value[1:-1]}
    if _SECOND.search(value):
        raise UsageError(
            f"-e {name}=…: one variable or several?",
            hint="give each its own -e; a value that holds ` name=` is put into quotes: "
            f"""-e '{name}="…"'""",
        )
    return {name: value}


def _file(path: Path, where: str) -> Mapping[str, Any]:
    variables = _checked(load_file(path, where), where)
    if open_to_everyone(path.stat()) and secret_vars(variables):
        raise UsageError(
            f"{where}: holds secrets, and everyone on this computer can read or write it",
            hint=f"`chmod 600 {shlex.quote(str(path))}`",
        )
    return variables


def _checked(data: Any, where: str) -> Mapping[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: holds no variables", hint="it must be a mapping: `key: value`")
    wrong = [key for key in data if not isinstance(key, str) or not _NAME.fullmatch(key)]
    if wrong:
        raise UsageError(f"{where}: `{wrong[0]}` cannot be the name of a variable")
    return data
