"""The arguments of an action as written: put together, and checked where they are literal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from nbops.base.errors import Place
from nbops.base.yamlpos import YamlMap, did_you_mean, place_of
from nbops.runbook import freeform
from nbops.runbook.expr import in_braces, is_template
from nbops.runbook.kinds import check_templates
from nbops.runbook.reading import Source
from nbops.runbook.spec import ActionSpec, Args
from nbops.runbook.syntax import expression_problems, template_problems, texts_in


def collect(
    spec: ActionSpec, value: Any, beside: Any, place: Place | None, source: Source
) -> tuple[YamlMap, Any]:
    """The arguments of a task, and the template that gives them all (or None).

    `value` is what stands after the action's name, `beside` the keyword `args`; what is
    written at the action wins. Free text goes under the action's `free_form` name.
    """
    args = YamlMap(place)
    template = None
    if isinstance(beside, YamlMap):
        _add(args, beside)
    elif beside is not None:
        template = beside
    if isinstance(value, YamlMap):
        _add(args, value)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        template = _text(spec, str(value), args, place, source) or template
    elif value is not None:
        kind = "list" if isinstance(value, list) else "truth value"
        source.add(f"`{spec.name}` takes a mapping of arguments, not a {kind}", place)
    if template is not None:
        check_templates(template, place, source)
    return args, template


def _add(args: YamlMap, more: YamlMap) -> None:
    for key, item in more.items():
        args.put(key, item, more.key_places.get(key), more.value_places.get(key))


def _text(
    spec: ActionSpec, text: str, args: YamlMap, place: Place | None, source: Source
) -> str | None:
    """Take arguments from a text; gives the text when all of it is one template."""
    if spec.name in freeform.COMMANDS and spec.free_form:
        rest, options = freeform.command_text(text)
        found = {**options, spec.free_form: rest} if rest.strip() else dict(options)
    elif spec.free_form is None and is_template(text) and text.strip().startswith("{{"):
        return text
    else:
        try:
            pairs = freeform.pairs(text)
        except freeform.UnbalancedError as error:
            pairs = None
            if spec.free_form is None:
                source.add(f"arguments of `{spec.name}`: {error}", place)
                return None
        if spec.free_form and (pairs is None or not _all_known(spec.args, pairs)):
            found = {spec.free_form: text}
        elif pairs is None and text.strip():
            hint = "write its arguments as a mapping below it"
            source.add(f"`{spec.name}` takes no free text: `{text}`", place, hint)
            return None
        else:
            found = pairs or {}
    for key, item in found.items():
        args.put(key, item, place, place)
    return None


def _all_known(model: type[Args], names: Mapping[str, Any]) -> bool:
    return set(names) <= set(argument_names(model))


def argument_names(model: type[Args]) -> dict[str, str]:
    """Every name that an argument may be given by, and the field it means.

    The first name of a field is the one to show: a field whose alias replaces its own name
    (because Python or pydantic has another use for it) goes by the alias.
    """
    names = {}
    for field, info in model.model_fields.items():
        aliases = [info.alias, info.validation_alias]
        found = [alias for alias in aliases if isinstance(alias, str)]
        for alias in aliases:
            found += [one for one in getattr(alias, "choices", ()) if isinstance(one, str)]
        for name in found or [field]:
            names[name] = field
    return names


def check(spec: ActionSpec, args: YamlMap, whole: Any, place: Place | None, source: Source) -> None:
    """Note everything that is wrong with an action's arguments: names, templates, types.

    A value that holds a template is known only when the task runs. `whole` is the template
    that gives further arguments: with it nothing can be said to be missing.
    """
    open_ended = spec.args.model_config.get("extra") == "allow"
    names = argument_names(spec.args)
    unknown = [key for key in args if key not in names and not open_ended]
    for key in unknown:
        hint = did_you_mean(str(key), names) or _list_of(names, spec.name)
        source.add(f"`{spec.name}` has no argument `{key}`", args.key_places.get(key, place), hint)
    for key, item in args.items():
        _check_text(spec, key, item, args.value_places.get(key, place), source)
    _check_types(spec, args, unknown, whole, source)


def _list_of(names: Mapping[str, str], action: str) -> str:
    if not names:
        return f"`{action}` takes no arguments"
    return f"it has: {', '.join(names)}"


def expressions(model: type[Args]) -> set[str]:
    """The names of arguments that are expressions without braces, by their model's mark
    (`json_schema_extra={"expression": True}`)."""
    marked = {
        field
        for field, info in model.model_fields.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("expression")
    }
    return {name for name, field in argument_names(model).items() if field in marked}


def _check_text(spec: ActionSpec, key: Any, item: Any, place: Place | None, source: Source) -> None:
    if key not in expressions(spec.args):
        check_templates(item, place, source)
        return
    for text, where in texts_in(item, place):
        check = template_problems if in_braces(text) else expression_problems
        source.reading.extend(check(text.strip(), where))


def _check_types(
    spec: ActionSpec, args: YamlMap, unknown: Sequence[Any], whole: Any, source: Source
) -> None:
    known = {key: item for key, item in args.items() if key not in unknown}
    open_values = {
        key for key, item in known.items() if any(is_template(t) for t, _ in texts_in(item, None))
    }
    names = argument_names(spec.args)
    later = open_values | {names.get(key, key) for key in open_values}
    try:
        spec.args.model_validate(dict(known))
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            loc = fault["loc"]
            name = str(loc[0]) if loc else ""
            if fault["type"] == "missing" and len(loc) == 1:
                if whole is None:
                    source.add(f"`{spec.name}` needs the argument `{name}`", args.place)
            elif name in later or (not loc and (open_values or whole is not None or unknown)):
                continue
            else:
                where = place_of(args, loc) or args.place
                message = fault["msg"].removeprefix("Value error, ")
                of = f"`{name}` of `{spec.name}`" if name else f"`{spec.name}`"
                hint = _near_choice(fault)
                source.add(f"{of}: {message[:1].lower()}{message[1:]}", where, hint)


def _near_choice(fault: Mapping[str, Any]) -> str | None:
    """For a word that is none of an argument's choices: the nearest of them."""
    expected = str(fault.get("ctx", {}).get("expected", ""))
    return did_you_mean(str(fault.get("input")), re.findall(r"'([^']*)'", expected))
