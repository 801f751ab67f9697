"""`nocobase_plugin_switch`: plugins enabled or disabled through the app, one node running."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, EndRun, Result
from nbops.base.errors import ActionFailed, RefusedError
from nbops.nocobase.account import call, read_token, reason, sign_in
from nbops.nocobase.cluster import STATE_FOLDER, Cluster, Endpoint, cluster_of
from nbops.nocobase.health import HEALTH_PATH, Health, read_health
from nbops.nocobase.http import (
    Answer,
    ask_script,
    call_config,
    call_script,
    read_answer,
    read_answers,
)
from nbops.nocobase.plans import aimed_at, expected_plugins
from nbops.nocobase.plugin_switch import LIST_PATH, not_yet, switch_path, to_switch
from nbops.nocobase.steps.release import SWITCHED
from nbops.runbook.spec import ActionSpec, Args

_OK = 200
_PATIENCE = 900
_CALM = 30.0  # the app may restart itself a moment after it answered
_PAUSE = 0.5
_NO_ACCOUNT = (
    "set `verify.account` in the inventory: an account with the role admin or root; plugins are"
    " switched through the app, as its own pages do"
)


class SwitchArgs(Args):
    """The arguments of `nocobase_plugin_switch`."""

    names: list[str] = Field(min_length=1, description="Names of plugins, or of their packages.")
    enable: bool = Field(description="Whether they are to be enabled or disabled.")
    step: Literal["look", "switch", "check"] = Field(
        description="`look`, while all serve, refuses what cannot be done, and ends the run when"
        " it is done already; `switch` does it, on the only node that runs; `check` fails where"
        " a node does not have it."
    )


class SwitchPlugins:
    """Enables or disables plugins as the app's own plugin manager does."""

    spec = ActionSpec(
        name="nocobase_plugin_switch",
        args=SwitchArgs,
        summary="Enable or disable plugins, on the one node that runs; or see whether they are.",
        example="- nocobase_plugin_switch:\n    names: [data-source-kingbase]\n"
        "    enable: true\n    step: switch\n",
        check="only looks",
        returns={"names": "The plugins that had to be switched, as the app calls them."},
    )

    def run(self, args: SwitchArgs, ctx: ActionContext) -> Result:
        """Neither the password nor the token stands in an argument list or a file."""
        cluster = aimed_at(cluster_of(ctx.vars))
        if args.step == "look":
            return _look(cluster, args, ctx)
        if ctx.check:
            return Result(skipped=True)
        if args.step == "switch":
            _alone(cluster, ctx)
            return _switch(cluster, args, ctx)
        for app in cluster.me.endpoints if cluster.me.serves else ():
            left = not_yet(_rows(ctx, cluster, app), args.names, enable=args.enable)
            if left:
                raise ActionFailed(f"{', '.join(left)}: not {_word(args)} on {app.name}")
        return Result()


def _look(cluster: Cluster, args: SwitchArgs, ctx: ActionContext) -> Result:
    if not cluster.part("verify").get("account"):
        raise RefusedError(
            f"no plugin of {cluster.name} can be {_word(args)}: no account is declared",
            hint=_NO_ACCOUNT,
        )
    rows = _rows(ctx, cluster, cluster.me.endpoints[0])
    appended = expected_plugins(cluster, cluster.me)
    names = to_switch(rows, args.names, appended, enable=args.enable)
    if not names:
        text = f"{', '.join(args.names)}: {_word(args)} already"
        return Result(msg=text, values={"names": []}, directive=EndRun(text))
    return Result(changed=ctx.check, msg=f"would be {_word(args)}", values={"names": names})


def _switch(cluster: Cluster, args: SwitchArgs, ctx: ActionContext) -> Result:
    app = cluster.me.endpoints[0]
    rows = _rows(ctx, cluster, app)
    names = to_switch(rows, args.names, expected_plugins(cluster, cluster.me), enable=args.enable)
    facts = {SWITCHED: {"names": args.names, "enable": args.enable}}
    if not names:
        return Result(values={"names": []}, facts=facts)
    ctx.progress(f"{'enabling' if args.enable else 'disabling'} {', '.join(names)}")
    config = call_config(
        app.here + switch_path(names, enable=args.enable),
        headers={
            "X-Authenticator": "basic",
            "Authorization": f"Bearer {_token(ctx, cluster, app)}",
        },
        body={},
    )
    outcome = ctx.act(call_script(_PATIENCE), stdin=config, deadline=_PATIENCE + 30)
    said = read_answer(outcome.stdout)
    if said.status not in {0, _OK, 502, 503, 504}:
        raise ActionFailed(
            f"the app does not {_verb(args)} {', '.join(names)}: {reason(said)}",
            hint=_kept_log(cluster, ctx),
        )
    _until(cluster, app, args, ctx, said)
    return Result(changed=True, values={"names": names}, facts=facts)


def _until(
    cluster: Cluster, app: Endpoint, args: SwitchArgs, ctx: ActionContext, said: Answer
) -> None:
    """Wait until the app serves again and has them. Raises ActionFailed when it does not."""
    end = time.monotonic() + _PATIENCE
    calm: float | None = None
    while time.monotonic() < end:
        (answer,) = read_answers(ctx.probe(ask_script([app.here + HEALTH_PATH])).out, 1)
        health = read_health(answer.status, answer.body)
        if health.up:
            listed = _listed(ctx, cluster, app)
            left = None if listed is None else not_yet(listed, args.names, enable=args.enable)
            if left == []:
                return
            calm = calm or time.monotonic()
            if left and time.monotonic() > calm + _CALM:
                break
        else:
            calm = None
            ctx.progress(str(health))
        ctx.stop.sleep(_PAUSE)
    raise ActionFailed(
        f"the app did not {_verb(args)} {', '.join(args.names)} (it said: {reason(said)})",
        hint=f"a plugin may need another one first; {_kept_log(cluster, ctx)}",
    )


def _alone(cluster: Cluster, ctx: ActionContext) -> None:
    """Raises ActionFailed while another app of the cluster runs."""
    others = [app for app in cluster.apps if app != cluster.me.endpoints[0]]
    urls = [f"{app.here if app.host == ctx.host else app.there}{HEALTH_PATH}" for app in others]
    answers = read_answers(ctx.probe(ask_script(urls)).out, len(urls)) if urls else []
    up = [
        app.name
        for app, answer in zip(others, answers, strict=True)
        if read_health(answer.status, answer.body).state is not Health.SILENT
    ]
    if up:
        raise ActionFailed(
            f"plugins are not switched while {', '.join(up)} runs as well",
            hint="all nodes are stopped first, and one is started alone (plugin-switch.yml)",
        )


def _rows(ctx: ActionContext, cluster: Cluster, app: Endpoint) -> Sequence[Mapping[str, Any]]:
    """The plugins as an app tells them. Raises ActionFailed when it does not."""
    answer = call(ctx, app.there + LIST_PATH, token=_token(ctx, cluster, app))
    rows = _read(answer)
    if rows is None:
        raise ActionFailed(
            f"{app.name} does not say which plugins it has: {reason(answer)}",
            hint="the account of `verify.account` must have the role admin or root",
        )
    return rows


def _listed(
    ctx: ActionContext, cluster: Cluster, app: Endpoint
) -> Sequence[Mapping[str, Any]] | None:
    """The same for an app that may be on its way down: None when it does not tell."""
    account: Mapping[str, Any] = cluster.part("verify").get("account") or {}
    token = read_token(sign_in(ctx, app.there, account))
    return _read(call(ctx, app.there + LIST_PATH, token=token)) if token else None


def _read(answer: Answer) -> Sequence[Mapping[str, Any]] | None:
    data = answer.data() if answer.status == _OK else None
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else None


def _token(ctx: ActionContext, cluster: Cluster, app: Endpoint) -> str:
    account: Mapping[str, Any] = cluster.part("verify").get("account") or {}
    said = sign_in(ctx, app.there, account)
    token = read_token(said)
    if not token:
        raise ActionFailed(
            f"sign-in at {app.there} failed: {reason(said)}",
            hint="`nbops status` tells whether it serves; is `verify.account` right?",
        )
    return token


def _kept_log(cluster: Cluster, ctx: ActionContext) -> str:
    """Where `nocobase_log` keeps the log of the node when it is stopped again."""
    folder = f"{STATE_FOLDER}/{cluster.name}/logs/{ctx.vars.get('nbops_run', '')}"
    return f"what the app wrote is kept on {ctx.host} in {folder}"


def _word(args: SwitchArgs) -> str:
    return "enabled" if args.enable else "disabled"


def _verb(args: SwitchArgs) -> str:
    return "enable" if args.enable else "disable"
