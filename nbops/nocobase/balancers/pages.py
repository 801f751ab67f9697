"""What visitors and programs get while the 503 page stands. Pure, but for reading files."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from nbops.base.errors import ActionFailed

# HAProxy holds a page in the buffer of each connection.
LARGEST = 256 * 1024

# In Accept-Language, what is liked best comes first: the first mention of either decides.
# Both servers know this as a regular expression of PCRE.
CHINESE = r"^(?!.*\ben\b.*\bzh\b).*\bzh\b"


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    text: str


_LANGUAGES = {
    "en": _Words(
        "Down for maintenance",
        "We are updating the system and will be back shortly. This page reloads by itself.",
    ),
    "zh": _Words("系统维护中", "系统正在升级维护，很快就会恢复。恢复后本页会自动刷新。"),
}


def pages(own: str | None = None) -> Mapping[str, str]:
    """The texts by file name: `en.html`, `zh.html`, and `en.json`, `zh.json` for the API.

    `own` is the user's HTML, in place of ours in every language.
    """
    template = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    found = {}
    for language, words in _LANGUAGES.items():
        found[f"{language}.html"] = own if own is not None else _filled(template, language, words)
        found[f"{language}.json"] = _answer(words)
    return found


def read_page(folder: Path, name: str) -> str:
    """The user's own page. Raises ActionFailed when it cannot be had, or is too large."""
    path = folder / Path(name).expanduser()
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ActionFailed(
            f"balancer.maintenance_page: {path} cannot be read: {error}",
            hint="it is one HTML file in UTF-8, relative to the inventory",
        ) from None
    if len(raw) > LARGEST:
        raise ActionFailed(
            f"balancer.maintenance_page: {path} has {len(raw)} bytes, {LARGEST} are the most",
            hint="one small file that needs nothing else: the balancer serves only this",
        )
    return text


def _filled(template: str, language: str, words: _Words) -> str:
    return (
        template.replace("@LANG@", language)
        .replace("@TITLE@", html.escape(words.title))
        .replace("@TEXT@", html.escape(words.text))
    )


def _answer(words: _Words) -> str:
    """An error in NocoBase's two shapes: that of its API, and that of its health address."""
    error = {"message": words.text, "code": "MAINTENANCE"}
    health = {"status": 503, "maintaining": True, **error}
    answer = {"errors": [error], "error": health, "maintaining": True}
    return json.dumps(answer, ensure_ascii=False) + "\n"
