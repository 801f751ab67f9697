"""`nocobase_sign_in`: what a user does first, through the balancer; then each node by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect
from nbops.nocobase.account import call, read_token, reason, sign_in
from nbops.nocobase.balancers.ask import Door, doors
from nbops.nocobase.balancers.tls import pin_of, read_tls
from nbops.nocobase.cluster import Cluster, bracket, cluster_of
from nbops.nocobase.health import HEALTH_PATH
from nbops.nocobase.http import Answer, Peer
from nbops.nocobase.plans import aimed_at
from nbops.runbook.spec import ActionSpec, NoArgs

_CHECK = "/api/auth:check"


class SignIn:
    """Signs in with `verify.account`, and shows the token to every node."""

    spec = ActionSpec(
        name="nocobase_sign_in",
        args=NoArgs,
        summary="Sign in through every balancer; the token must be good on each node directly.",
        example="- nocobase_sign_in:\n",
        effect=Effect.NONE,
        check="skipped",
        returns={"address": "Where users find the app.", "nodes": "Hosts that took the token."},
    )

    def run(self, _args: NoArgs, ctx: ActionContext) -> Result:
        """Neither the password nor the token stands in an argument list or a file."""
        cluster = aimed_at(cluster_of(ctx.vars))
        addresses = balancer_addresses(cluster)
        facts = {"nocobase_address": addresses[0] if addresses else ""}
        if ctx.check:
            return Result(skipped=True, facts=facts)
        account: Mapping[str, Any] = cluster.part("verify").get("account") or {}
        if not account:
            return _only_look(ctx, addresses, facts)
        pin = _pin(cluster, ctx)
        for door in doors(cluster):
            base = door.url
            said = _signed_in(ctx, door, account, pin)
            token = read_token(said)
            if not token:
                where = f"{base} ({door.name})" if door.connect else base
                return Result(failed=True, msg=f"sign-in at {where} failed: {reason(said)}")
            for app in cluster.endpoints:
                answer = call(ctx, app.there + _CHECK, token=token)
                if not knows_user(answer):
                    return Result(
                        failed=True,
                        msg=f"{app.name} does not accept the token from {base}: {reason(answer)}",
                    )
        nodes = [node.host for node in cluster.serving]
        return Result(
            values={"address": facts["nocobase_address"], "nodes": nodes},
            facts=facts,
        )


def _pin(cluster: Cluster, ctx: ActionContext) -> str:
    """The key that the balancers have by the inventory; empty without TLS."""
    tls = cluster.part("balancer").get("tls")
    if not tls:
        return ""
    return pin_of(read_tls(Path(str(ctx.vars["inventory_dir"])), tls).certificate)


def _signed_in(ctx: ActionContext, door: Door, account: Mapping[str, Any], pin: str) -> Answer:
    """The answer to a sign-in. A balancer of ours must have the key that it was given, whoever
    signed its certificate; at the public address another one may stand before it, with a
    certificate that is known everywhere."""
    if door.connect:
        return sign_in(ctx, door.url, account, Peer(door.connect, pin))
    said = sign_in(ctx, door.url, account)
    if not said.status and pin and door.url.startswith("https://"):
        said = sign_in(ctx, door.url, account, Peer(pin=pin))
    return said


def balancer_addresses(cluster: Cluster) -> list[str]:
    """The public address when there is one, then every balancer host."""
    part = cluster.part("balancer")
    public = str(part.get("address") or "")
    if public and "://" not in public:
        public = f"http://{public}"
    scheme, usual = ("https", 443) if part.get("tls") else ("http", 80)
    port = int(part.get("port") or usual)
    at = "" if port == usual else f":{port}"
    hosts = [f"{scheme}://{bracket(host.address)}{at}" for host in cluster.group("balancer")]
    return list(dict.fromkeys([*([public.rstrip("/")] if public else []), *hosts]))


def knows_user(answer: Answer) -> bool:
    """Whether an answer of `auth:check` names a user; without one it is empty, with 200."""
    data = answer.data()
    return answer.status == 200 and isinstance(data, dict) and bool(data.get("id"))


def _only_look(ctx: ActionContext, addresses: list[str], facts: Mapping[str, Any]) -> Result:
    for base in addresses:
        answer = call(ctx, base + HEALTH_PATH)
        if answer.status != 200:
            return Result(failed=True, msg=f"{base} does not serve: {reason(answer)}")
    return Result(
        values={"address": facts["nocobase_address"], "nodes": []},
        facts=facts,
        warnings=(
            "no sign-in was tried, because no account is declared: set verify.account in the"
            " inventory",
        ),
    )
