"""Prints, as JSON, what ansible-core makes of the expressions in `expressions.py`.

Run as a program of its own: ansible-core changes jinja2 for the whole process.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from expressions import TEMPLATES, VARIABLES
from expressions_more import CONDITIONS, FILES, INCLUDED, THREE


def trusted(value: Any) -> Any:
    """A value as ansible-core sees what stands in a playbook."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, list):
        return [trusted(item) for item in value]
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    return value


def answer(function: Callable[[Any], Any], text: Any) -> dict[str, Any]:
    """The value, or the error, that a template or condition gives."""
    try:
        return {"value": function(trusted(text))}
    except Exception as error:  # noqa: BLE001 - every error is an answer
        return {"error": str(error)}


def files(folder: Path) -> list[dict[str, Any]]:
    """What comes of the template files."""
    (folder / "in.j2").write_text(INCLUDED, encoding="utf-8")
    (folder / "three.j2").write_text(THREE, encoding="utf-8")
    loader = DataLoader()
    loader.set_basedir(str(folder))
    templar = Templar(loader, variables=trusted(VARIABLES))
    answers = []
    for number, text in enumerate(FILES):
        (folder / f"{number}.j2").write_text(text, encoding="utf-8", newline="")
        answers.append(answer(templar.template, f"{{{{ lookup('template', '{number}.j2') }}}}"))
    return answers


def main() -> None:
    """Answer all expressions."""
    init_plugin_loader([])
    templar = Templar(DataLoader(), variables=trusted(VARIABLES))
    answers = {
        "templates": [answer(templar.template, text) for text in TEMPLATES],
        "files": files(Path(tempfile.mkdtemp(dir=sys.argv[1]))),
        "conditions": [answer(templar.evaluate_conditional, text) for text in CONDITIONS],
    }
    json.dump(answers, sys.stdout, default=list)


if __name__ == "__main__":
    main()
