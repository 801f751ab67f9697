"""`nocobase_sign_in`: what a user does first, through the balancer; then each node by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect, Text
from nbops.base.secret import reveal
from nbops.nocobase.cluster import Cluster, bracket, cluster_of
from nbops.nocobase.health import HEALTH_PATH, app_error
from nbops.nocobase.http import Answer, call_config, call_script, read_answer
from nbops.nocobase.plans import expected_plugins
from nbops.runbook.spec import ActionSpec, NoArgs

_SIGN_IN = "/api/auth:signIn"
_CHECK = "/api/auth:check"
_PLUGINS = "/api/pm:list"
_PATIENCE = 30


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
        cluster = cluster_of(ctx.vars)
        addresses = balancer_addresses(cluster)
        facts = {"nocobase_address": addresses[0] if addresses else ""}
        if ctx.check:
            return Result(skipped=True, facts=facts)
        account: Mapping[str, Any] = cluster.part("verify").get("account") or {}
        if not account:
            return _only_look(ctx, addresses, facts)
        missing: dict[str, Sequence[str]] = {}
        for base in addresses:
            said = _call(ctx, base + _SIGN_IN, body=_credentials(account))
            token = read_token(said)
            if not token:
                return Result(failed=True, msg=f"sign-in at {base} failed: {reason(said)}")
            for app in cluster.endpoints:
                answer = _call(ctx, app.there + _CHECK, token=token)
                if not knows_user(answer):
                    return Result(
                        failed=True,
                        msg=f"{app.name} does not accept the token from {base}: {reason(answer)}",
                    )
                listed = _call(ctx, app.there + _PLUGINS, token=token)
                expected = expected_plugins(cluster, cluster.members[app.host])
                missing[app.name] = missing_plugins(listed, expected)
        nodes = [node.host for node in cluster.serving]
        return Result(
            values={"address": facts["nocobase_address"], "nodes": nodes},
            facts=facts,
            warnings=silent_faults(cluster, missing),
        )


def balancer_addresses(cluster: Cluster) -> list[str]:
    """The public address when there is one, then every balancer host."""
    part = cluster.part("balancer")
    public = str(part.get("address") or "")
    if public and "://" not in public:
        public = f"http://{public}"
    port = int(part.get("port") or 80)
    at = "" if port == 80 else f":{port}"
    hosts = [f"http://{bracket(host.address)}{at}" for host in cluster.group("balancer")]
    return list(dict.fromkeys([*([public.rstrip("/")] if public else []), *hosts]))


def read_token(answer: Answer) -> str:
    """The token of an answer to a sign-in; empty when there is none."""
    data = answer.data()
    token = data.get("token") if isinstance(data, dict) else None
    return str(token) if answer.status == 200 and token else ""


def knows_user(answer: Answer) -> bool:
    """Whether an answer of `auth:check` names a user; without one it is empty, with 200."""
    data = answer.data()
    return answer.status == 200 and isinstance(data, dict) and bool(data.get("id"))


def reason(answer: Answer) -> str:
    """Why an answer is not the one hoped for: the status, and the app's own word."""
    if not answer.status:
        return "no answer"
    said = app_error(answer.body)
    return f"HTTP {answer.status}" + (f", {said}" if said else "")


def silent_faults(cluster: Cluster, missing: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The most common silent fault: an app without its adapters says that it is healthy."""
    if len(cluster.nodes) < 2:
        return ()
    if not expected_plugins(cluster, cluster.nodes[0]):
        return (
            "the nodes do not synchronise with each other: no cluster plugins are configured"
            " (plugins.append is empty)",
        )
    hosts = [host for host, names in missing.items() if names]
    if not hosts:
        return ()
    names = dict.fromkeys(name for host in hosts for name in missing[host])
    return (
        f"healthy, but not a cluster: {', '.join(names)} not loaded on {', '.join(hosts)}, so"
        " that nodes do not synchronise. These plugins are commercial: set"
        " plugins.package_service, or use an image that has them",
    )


def missing_plugins(answer: Answer, expected: Sequence[str]) -> list[str]:
    """Of `expected`, the plugins that an answer of `pm:list` does not have as enabled."""
    listed = answer.data()
    loaded = {
        name
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict) and entry.get("enabled")
        for name in (entry.get("name"), entry.get("packageName"))
    }
    return [name for name in expected if name not in loaded]


def _credentials(account: Mapping[str, Any]) -> dict[str, str]:
    password: Text = account["password"]
    return {"account": str(account["email"]), "password": reveal(password)}


def _call(ctx: ActionContext, url: str, *, body: Any = None, token: str = "") -> Answer:
    headers = {"X-Authenticator": "basic"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    config = call_config(url, headers=headers, body=body)
    outcome = ctx.probe(call_script(_PATIENCE), stdin=config, deadline=_PATIENCE + 10)
    return read_answer(outcome.stdout)


def _only_look(ctx: ActionContext, addresses: list[str], facts: Mapping[str, Any]) -> Result:
    for base in addresses:
        answer = _call(ctx, base + HEALTH_PATH)
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
