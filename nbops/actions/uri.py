"""`uri`: one HTTP request from the host."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urljoin

from pydantic import BeforeValidator, Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.clock import stopwatch
from nbops.actions.conditions import ConditionArgs, unneeded
from nbops.actions.http import (
    CURL,
    RequestArgs,
    Response,
    header,
    option,
    parts,
    read_response,
    request,
)
from nbops.actions.outcome import lines_of
from nbops.actions.values import Path, Plain, to_list
from nbops.actions.words import expanded
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret, reveal
from nbops.runbook.spec import ActionSpec

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def _yes_no(value: Any) -> Any:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


class UriArgs(RequestArgs, ConditionArgs):
    """The arguments of `uri`."""

    method: Plain = Field("GET", description="The request's method.")
    body: Any = Field(None, description="What is sent: a text, or data with `body_format`.")
    body_format: Literal["raw", "json", "form-urlencoded"] = Field(
        "raw", description="How `body` is written."
    )
    status_code: Annotated[list[int], BeforeValidator(to_list)] = Field(
        default_factory=lambda: [200], description="The answers that are good."
    )
    return_content: bool = Field(False, description="Give the answer's body as `content`.")
    follow_redirects: Annotated[
        Literal["all", "yes", "safe", "urllib2", "none", "no"], BeforeValidator(_yes_no)
    ] = Field("safe", description="Follow redirects: `all`, `safe` (GET and HEAD only), `none`.")
    unix_socket: Path | None = Field(None, description="A socket to ask instead of the network.")
    force: bool = Field(False, description="Ask that nothing is taken from a cache.")


def config(args: UriArgs) -> str:
    """The request as a curl configuration."""
    method = args.method.upper()
    lines = [request(args)]
    given = {name.lower() for name in args.headers}
    body, kind = body_of(args)
    if method == "HEAD":
        lines.append(option("head"))
    elif method != "GET" or body is not None:
        lines.append(option("request", method))
    if body is not None:
        lines.append(option("data-raw", body))
        if kind and "content-type" not in given:
            lines.append(header("Content-Type", kind))
    if args.force:
        lines.append(header("Cache-Control", "no-cache"))
    follow = args.follow_redirects
    if follow in {"all", "yes"} or (follow in {"safe", "urllib2"} and method in {"GET", "HEAD"}):
        lines.append(option("location"))
    if args.unix_socket is not None:
        lines.append(option("unix-socket", args.unix_socket))
    return parts("".join(lines))


def body_of(args: UriArgs) -> tuple[str | None, str]:
    """The body as text, and the content type that goes with it."""
    body = args.body
    if body is None:
        return None, ""
    if args.body_format == "json":
        text = reveal(body) if isinstance(body, str | Secret) else json.dumps(_open(body))
        return text, "application/json"
    if args.body_format == "form-urlencoded":
        if isinstance(body, str | Secret):
            return reveal(body), "application/x-www-form-urlencoded"
        try:
            pairs = [
                tuple(_open(pair)) for pair in (body.items() if isinstance(body, dict) else body)
            ]
            return urlencode(pairs, doseq=True), "application/x-www-form-urlencoded"
        except (TypeError, ValueError) as error:
            raise ActionFailed(f"failed to parse body as form_urlencoded: {error}") from None
    if isinstance(body, str | Secret):
        return reveal(body), ""
    return json.dumps(_open(body)), ""


def _open(value: Any) -> Any:
    """Data with its secrets revealed, for the host alone."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {str(key): _open(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_open(item) for item in value]
    return value


def result_of(args: UriArgs, response: Response, elapsed: int) -> Result:
    """What came back, under Ansible's keys."""
    values: dict[str, Any] = {
        **response.headers,
        "status": response.status,
        "url": response.url or args.url,
        "redirected": response.redirected,
        "elapsed": elapsed,
    }
    text = response.body.decode(_charset(response), "replace")
    if args.return_content:
        values["content"] = text
    if "json" in response.headers.get("content_type", ""):
        try:
            values["json"] = json.loads(text)
        except ValueError:
            values.pop("json", None)
    if "location" in values:
        values["location"] = urljoin(response.url, values["location"])
    if response.status in args.status_code and response.status >= 300:
        return Result(msg=f"HTTP Error {response.status}: {response.reason}", values=values)
    if response.status in args.status_code:
        values["cookies"] = dict(response.cookies)
        values["cookies_string"] = "; ".join(f"{k}={v}" for k, v in response.cookies.items())
        length = response.headers.get("content_length", "unknown")
        return Result(msg=f"OK ({length} bytes)", values=values)
    why = f"HTTP Error {response.status}: {response.reason}"
    if response.status == -1:
        why = f"Request failed: {response.reason}"
    elif response.status < 300:
        why = f"OK ({response.headers.get('content_length', 'unknown')} bytes)"
    message = f"Status code was {response.status} and not {args.status_code}: {why}"
    return Result(failed=True, msg=message, values=values)


def _charset(response: Response) -> str:
    kind = response.headers.get("content_type", "")
    _, found, charset = kind.partition("charset=")
    name = charset.split(";")[0].strip("\"' ") if found else "utf-8"
    try:
        b"".decode(name)
    except LookupError:
        return "utf-8"
    return name


class UriAction:
    """Asks a web address from the host."""

    spec = ActionSpec(
        name="uri",
        args=UriArgs,
        summary="Ask a web address from the host, and check the answer.",
        example="- uri:\n    url: http://127.0.0.1:13000/api/__health_check\n"
        "  register: health\n  until: health.status == 200\n  retries: 60\n",
        check="skipped",
        returns={
            "status": "The answer's number; -1 when there was none.",
            "json": "The body, when it is JSON.",
            "content": "The body, with `return_content`.",
            "url": "The address in the end.",
            "redirected": "Whether that is another one.",
            "cookies": "The cookies set.",
            "elapsed": "Seconds it took.",
        },
    )

    def run(self, args: UriArgs, ctx: ActionContext) -> Result:
        """Ask once. A request that may change something is a job, so that it is made once."""
        why = unneeded(args, expanded, ctx)
        if why:
            path = args.creates if why == "creates" else args.removes
            state = "exists" if why == "creates" else "does not exist"
            told = f"skipped, since '{path}' {state}"
            return Result(msg=told, values=lines_of("stdout", told))
        if ctx.check:
            return Result(skipped=True, msg="This action (uri) does not support check mode.")
        elapsed = stopwatch()
        script = f"{CURL}exec curl -q -K -\n"
        send = ctx.probe if args.method.upper() in _READS else ctx.act
        outcome = send(script, stdin=config(args).encode("utf-8", "surrogateescape"))
        return result_of(args, read_response(outcome), elapsed())
