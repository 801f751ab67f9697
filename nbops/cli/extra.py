"""`-e`: variables from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbops.base.errors import UsageError
from nbops.base.secret import Secret
from nbops.base.yamlpos import load_file, load_text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(r"(?i)passw|passphrase|(^|_)pass($|_)|secret|token|private_key|api_?key")
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


def secret_vars(variables: Mapping[str, Any]) -> list[Secret]:
    """The values of variables whose name says that they are secret: they are shown nowhere,
    and the journal does not keep them. Shorter ones than eight letters could be any word."""
    return [
        Secret(str(value))
        for name, value in variables.items()
        if _SECRET_NAME.search(name) and isinstance(value, str | int) and len(str(value)) >= 8
    ]


def _one(text: str) -> Mapping[str, Any]:
    if text.startswith("@"):
        return _checked(load_file(Path(text[1:])), f"-e {text}")
    if text.lstrip().startswith(("{", "[")):
        return _checked(load_text(text, "-e"), "-e")
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise UsageError(
            f"-e {text}: is not KEY=VALUE",
            hint="a name is letters, digits and `_`; a file is given as @FILE",
        )
    if value[:1] in {"'", '"'} and value[:1] == value[-1:] and len(value) > 1:
        return {name: value[1:-1]}
    if _SECOND.search(value):
        raise UsageError(
            f"-e {text}: one variable or several?",
            hint="give each its own -e; a value that holds ` name=` is put into quotes: "
            f"""-e '{name}="…"'""",
        )
    return {name: value}


def _checked(data: Any, where: str) -> Mapping[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: holds no variables", hint="it must be a mapping: `key: value`")
    wrong = [key for key in data if not isinstance(key, str) or not _NAME.fullmatch(key)]
    if wrong:
        raise UsageError(f"{where}: `{wrong[0]}` cannot be the name of a variable")
    return data
