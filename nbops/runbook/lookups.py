"""`lookup` and `query`: of Ansible's plugins `env`, `file` and `template`, and no other.

Files are looked for in the folders of the runbook and nowhere else: a name that leads out
of them, by `..` or by a symbolic link, is refused.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from nbops.base.errors import ActionFailed
from nbops.base.paths import inside
from nbops.base.yamlpos import did_you_mean
from nbops.runbook.values import OMIT, Missing

LOOKUPS = ("env", "file", "template")


def find_file(name: str, folders: Sequence[Path], sub: str) -> Path:
    """A file of the runbook's: in a folder's `sub` folder or in the folder itself.

    Raises ActionFailed when there is none, or when it lies outside all `folders`.
    """
    outside = False
    for folder in folders:
        for candidate in (folder / sub / name, folder / name):
            if not inside(candidate, folders):
                outside = True
            elif candidate.is_file():
                return candidate
    if outside:
        raise ActionFailed(
            f"`{name}` is outside the runbook's folder",
            hint="put the file beside the runbook and name it from there",
        )
    searched = ", ".join(str(folder) for folder in folders) or "no folder"
    raise ActionFailed(f"file `{name}` not found; searched: {searched}")


def _env(
    terms: Sequence[Any],
    options: dict[str, Any],
    context: Context,  # noqa: ARG001
) -> list[Any]:
    default = options.pop("default", "")
    values = []
    for term in terms:
        name = str(term).split(maxsplit=1)[0] if str(term).strip() else ""
        value = os.environ.get(name, default)
        if isinstance(value, Undefined):
            value = Missing(f"the environment variable `{name}` is not set")
        values.append(value)
    return values


def _file(terms: Sequence[Any], options: dict[str, Any], context: Context) -> list[Any]:
    right, left = options.pop("rstrip", True), options.pop("lstrip", False)
    values = []
    for term in terms:
        text = _read(context.scope.templar.find(str(term), "files"))  # type: ignore[attr-defined]
        text = text.lstrip() if left else text
        values.append(text.rstrip() if right else text)
    return values


def _template(terms: Sequence[Any], options: dict[str, Any], context: Context) -> list[Any]:
    extra = options.pop("template_vars", {})
    scope = context.scope.within(extra)  # type: ignore[attr-defined]
    values = []
    for term in terms:
        path = scope.templar.find(str(term), "templates")
        values.append(scope.templar.file_in(_read(path), scope, str(path)))
    return values


_PLUGINS: Mapping[str, Callable[[Sequence[Any], dict[str, Any], Context], list[Any]]] = {
    "env": _env,
    "file": _file,
    "template": _template,
}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ActionFailed(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise ActionFailed(f"{path}: {error.strerror or error}") from None


def refusal(name: str) -> str | None:
    """Why a lookup of this name is not done, or None when it is."""
    if name.removeprefix("ansible.builtin.") in LOOKUPS:
        return None
    return f"lookup `{name}` is not supported; there are `env`, `file` and `template`"


def _query(context: Context, name: str, terms: Sequence[Any], options: dict[str, Any]) -> list[Any]:
    why = refusal(name)
    if why:
        raise ActionFailed(why, hint=did_you_mean(name, LOOKUPS))
    given = list(terms[0]) if len(terms) == 1 and isinstance(terms[0], list) else list(terms)
    errors = options.pop("errors", "strict")
    try:
        values = _PLUGINS[name.removeprefix("ansible.builtin.")](given, options, context)
    except ActionFailed:
        if errors == "strict":
            raise
        return []
    if options:
        raise ActionFailed(f"lookup `{name}` has no option `{next(iter(options))}`")
    return values


@pass_context
def lookup(context: Context, name: str, *terms: Any, wantlist: bool = False, **options: Any) -> Any:
    """What a lookup gives: one value, or several joined with commas."""
    values = _query(context, name, terms, options)
    if wantlist:
        return values
    if len(values) == 1:
        return values[0]
    return ",".join(str(value) for value in values) if values else None


@pass_context
def query(context: Context, name: str, *terms: Any, **options: Any) -> list[Any]:
    """What a lookup gives, always as a list."""
    return _query(context, name, terms, options)


def now(utc: bool = False, fmt: str | None = None) -> Any:
    """The present time of this machine, or of UTC, without a time zone; as text with `fmt`."""
    moment = datetime.datetime.now(datetime.UTC if utc else None).replace(tzinfo=None)
    return moment.strftime(fmt) if fmt else moment


def undef(hint: str = "Mandatory variable has not been overridden") -> Undefined:
    """An undefined value whose error says `hint`."""
    return Missing(hint)


GLOBALS: Mapping[str, Any] = {
    "lookup": lookup,
    "query": query,
    "q": query,
    "now": now,
    "undef": undef,
    "omit": OMIT,
}
