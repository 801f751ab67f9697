"""`template`: a Jinja2 template of the runbook's, rendered here and put on the host."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path as LocalPath
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.copy import RETURNS, PutArgs, goal_of
from nbops.actions.put import put
from nbops.actions.values import Path, Plain
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret, reveal
from nbops.runbook.spec import ActionSpec

_HEADER = "#jinja2:"
_JINJA_OPTIONS = (
    "trim_blocks",
    "lstrip_blocks",
    "block_start_string",
    "block_end_string",
    "variable_start_string",
    "variable_end_string",
    "comment_start_string",
    "comment_end_string",
)

Newline = Literal["\n", "\r", "\r\n", "\\n", "\\r", "\\r\\n"]


class TemplateArgs(PutArgs):
    """The arguments of `template`."""

    src: Path = Field(
        description="The template, beside the runbook.", json_schema_extra={"file": "templates"}
    )
    newline_sequence: Newline = Field("\n", description="How lines end in the file.")
    output_encoding: Plain = Field("utf-8", description="Encoding of the file.")
    trim_blocks: bool = Field(True, description="Drop the newline after a block's tag.")
    lstrip_blocks: bool = Field(False, description="Drop spaces before a block's tag.")
    block_start_string: Plain = Field("{%", description="What begins a block's tag.")
    block_end_string: Plain = Field("%}", description="What ends it.")
    variable_start_string: Plain = Field("{{", description="What begins an expression.")
    variable_end_string: Plain = Field("}}", description="What ends it.")
    comment_start_string: Plain = Field("{#", description="What begins a comment.")
    comment_end_string: Plain = Field("#}", description="What ends it.")


class TemplateAction:
    """Renders a template and puts the text on the host."""

    spec = ActionSpec(
        name="template",
        args=TemplateArgs,
        summary="Render a template and put the text on the host.",
        example="- template:\n    src: nginx.conf.j2\n    dest: /etc/nginx/nginx.conf\n"
        "    validate: nginx -t -c %s\n",
        returns=RETURNS,
    )

    def run(self, args: TemplateArgs, ctx: ActionContext) -> Result:
        """Write the text when it differs; in check mode, say what would be written."""
        source = ctx.find(args.src, "templates")
        try:
            template = source.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ActionFailed(f"{source}: a template is UTF-8 text, this is not") from None
        extra = template_variables(source, args.dest)
        text = ctx.render(with_options(template, args), str(source), extra)
        goal = goal_of(args, encode(text, args), name=source.name, secret=isinstance(text, Secret))
        if goal.wanted.mode is None and args.mode == "preserve":
            mode = f"{source.stat().st_mode & 0o7777:04o}"
            goal = replace(goal, wanted=replace(goal.wanted, mode=mode))
        return put(replace(goal, header=str(source)), ctx)


def with_options(template: str, args: TemplateArgs) -> str:
    """The template with the arguments that change Jinja2 as its first line (`#jinja2: …`);
    what the template's own first line says wins."""
    changed = [
        f"{name}: {getattr(args, name)}"
        for name in _JINJA_OPTIONS
        if getattr(args, name) != TemplateArgs.model_fields[name].default
    ]
    if not changed:
        return template
    header = f"{_HEADER}{', '.join(changed)}"
    if template.startswith(_HEADER):
        return f"{header},{template.removeprefix(_HEADER)}"
    return f"{header}\n{template}"


def encode(text: str | Secret, args: TemplateArgs) -> bytes:
    """The rendered text as bytes of the file.

    Raises ActionFailed when the encoding is unknown or cannot hold the text.
    """
    newline = args.newline_sequence.replace("\\n", "\n").replace("\\r", "\r")
    lines = reveal(text)
    if newline != "\n":
        lines = lines.replace("\n", newline)
    try:
        return lines.encode(args.output_encoding, "surrogateescape")
    except LookupError:
        raise ActionFailed(f"there is no encoding `{args.output_encoding}`") from None
    except UnicodeEncodeError as error:
        raise ActionFailed(
            f"the text cannot be written as {args.output_encoding}: {error.reason}"
        ) from None


def template_variables(source: LocalPath, dest: str) -> dict[str, Any]:
    """Ansible's variables about the template itself."""
    facts = source.stat()
    try:
        owner = pwd.getpwuid(facts.st_uid).pw_name
    except KeyError:
        owner = str(facts.st_uid)
    return {
        "ansible_managed": "Ansible managed",
        "template_host": os.uname().nodename,
        "template_path": str(source),
        "template_fullpath": str(source.absolute()),
        "template_destpath": dest,
        "template_uid": owner,
        "template_mtime": datetime.fromtimestamp(facts.st_mtime, UTC),
        "template_run_date": datetime.now(UTC),
    }
