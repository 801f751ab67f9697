"""What a signed-in user asks the app: requests made by curl on a host, and answers read.

Neither the password nor the token stands in an argument list or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbops.actions.api import ActionContext
from nbops.base.command import Text
from nbops.base.secret import reveal
from nbops.nocobase.health import app_error
from nbops.nocobase.http import AS_NAMED, Answer, Peer, call_config, call_script, read_answer

SIGN_IN_PATH = "/api/auth:signIn"
_PATIENCE = 30


def call(
    ctx: ActionContext, url: str, *, body: Any = None, token: str = "", peer: Peer = AS_NAMED
) -> Answer:
    """One request from the host to the app; `body` goes as JSON by POST."""
    headers = {"X-Authenticator": "basic"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    config = call_config(url, headers=headers, body=body, peer=peer)
    outcome = ctx.probe(call_script(_PATIENCE), stdin=config, deadline=_PATIENCE + 10)
    return read_answer(outcome.stdout)


def sign_in(
    ctx: ActionContext, base: str, account: Mapping[str, Any], peer: Peer = AS_NAMED
) -> Answer:
    """Sign in at a base address with an account of the inventory (`verify.account`)."""
    password: Text = account["password"]
    body = {"account": str(account["email"]), "password": reveal(password)}
    return call(ctx, base + SIGN_IN_PATH, body=body, peer=peer)


def read_token(answer: Answer) -> str:
    """The token of an answer to a sign-in; empty when there is none."""
    data = answer.data()
    token = data.get("token") if isinstance(data, dict) else None
    return str(token) if answer.status == 200 and token else ""


def reason(answer: Answer) -> str:
    """Why an answer is not the one hoped for: the status, and the app's own word."""
    if not answer.status:
        return "no answer"
    said = app_error(answer.body)
    return f"HTTP {answer.status}" + (f", {said}" if said else "")
