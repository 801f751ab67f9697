"""`nocobase_release`: the record of what is deployed, on every host of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, Result
from nbops.base.command import Effect, quote
from nbops.base.errors import ActionFailed, Place, RefusedError
from nbops.base.secret import Secret
from nbops.nocobase import keys, releases
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.files import Wanted, put_script, stage
from nbops.nocobase.plans import environment_fingerprint, here, node_files
from nbops.nocobase.releases import Release, read_release
from nbops.runbook.spec import ActionSpec, Args

FACT = "nocobase_release"
KEYS_FACT = "nocobase_release_keys"


class ReleaseArgs(Args):
    """The arguments of `nocobase_release`."""

    state: Literal["read", "match", "present"] = Field(
        description="`read` the host's newest record; `match` it with the inventory over all"
        " hosts, which refuses another version; `present` writes what is deployed now."
    )


class ReleaseRecord:
    """Reads, compares or writes the record."""

    spec = ActionSpec(
        name="nocobase_release",
        args=ReleaseArgs,
        summary="Keep the record of what is deployed on every host.",
        example="- nocobase_release:\n    state: present\n",
        free_form="state",
        effect=Effect.FILE,
        returns={"release": "The record without its files; none when nothing is deployed."},
    )

    def run(self, args: ReleaseArgs, ctx: ActionContext) -> Result:
        """Sets the fact `nocobase_release` in every state."""
        cluster = cluster_of(ctx.vars)
        if args.state == "read":
            record = self._newest_here(cluster, ctx)
            return _result(record.facts() if record else None, marks=_keys_in(record, cluster))
        if args.state == "match":
            present = match(cluster, place_of_version(ctx.vars))
            match_keys(cluster)
            _same_key(cluster, ctx)
            return _result(present)
        return self._write(cluster, ctx)

    def _newest_here(self, cluster: Cluster, ctx: ActionContext) -> Release | None:
        folder = releases.folder(cluster.name)
        listed = ctx.probe(f"[ ! -d {quote(folder)} ] || ls -1 {quote(folder)}")
        if not listed.ok:
            raise ActionFailed(f"cannot read the releases on {ctx.host}: {listed.err.strip()}")
        numbers = releases.numbers(listed.out.splitlines())
        if not numbers:
            return None
        path = releases.path(cluster.name, numbers[-1])
        try:
            return read_release(ctx.fetch(path).decode())
        except ValueError as error:
            raise ActionFailed(
                f"{path} on {ctx.host} is no release: {error}",
                hint="when another host has a good copy, move this file away and run again",
            ) from error

    def _write(self, cluster: Cluster, ctx: ActionContext) -> Result:
        last = known(cluster)
        record = wanted(cluster, ctx.vars, last)
        if cluster.fact(cluster.me.host, FACT) == record.facts():
            return _result(record.facts())
        if not ctx.check:
            folder = quote(releases.folder(cluster.name))
            file = Wanted(releases.path(cluster.name, record.number), Secret(record.text()), 0o600)
            script = f"set -e\n(umask 077; mkdir -p {folder})\n{put_script(stage(ctx, [file]))}"
            outcome = ctx.act(script)
            if not outcome.ok:
                raise ActionFailed(
                    f"cannot record the release on {ctx.host}: {outcome.err.strip()}"
                )
        return _result(record.facts(), changed=True)


def known(cluster: Cluster) -> Mapping[str, Any] | None:
    """The present release as far as any host has told."""
    return releases.newest(cluster.fact(host, FACT) for host in cluster.members)


def place_of_version(variables: Mapping[str, Any]) -> Place | None:
    """Where the inventory names the version, as far as `nbops_places` tells."""
    place = (variables.get("nbops_places") or {}).get("version")
    return Place(str(place["file"]), int(place["line"]), int(place["column"])) if place else None


def match(cluster: Cluster, place: Place | None = None) -> Mapping[str, Any] | None:
    """The present release, if the inventory names its version.

    Raises RefusedError when it names another one: only an upgrade changes what runs.
    """
    last = known(cluster)
    if last and last["version"] != cluster.version:
        raise RefusedError(
            f"the inventory says `version: {cluster.version}`, but {cluster.name} runs"
            f" {last['version']} (release {last['number']})",
            place=place,
            hint=f"`nbops upgrade --version {cluster.version}` changes the version;"
            f" for a deploy say `version: {last['version']}`",
        )
    return last


def match_keys(cluster: Cluster) -> None:
    """The keys of a cluster stay as they are: sessions hang on one, encrypted data on the other.

    Raises RefusedError when the present release was made with others.
    """
    last = known(cluster)
    if last is None:
        return
    wanted_keys = keys.wanted_marks(cluster.settings)
    for host in cluster.members:
        facts = cluster.fact(host, FACT)
        if not facts or facts["number"] != last["number"]:
            continue
        other = keys.other_keys(cluster.fact(host, KEYS_FACT) or {}, wanted_keys)
        if other:
            raise RefusedError(
                f"{cluster.name} runs with another {other[0]} than `{keys.KEYS[other[0]]}` gives"
                f" (release {last['number']})",
                hint="put the cluster's own key back: it stands in"
                f" {releases.path(cluster.name, int(last['number']))} on {host}, for root only",
            )


def _keys_in(record: Release | None, cluster: Cluster) -> Mapping[str, str]:
    """The marks of the keys that a release was made with."""
    texts = (text for files in (record.files if record else {}).values() for text in files.values())
    salt = keys.salt_of(cluster.settings["secrets"]["app_key"])
    return keys.key_marks((line for text in texts for line in text.splitlines()), salt)


def _same_key(cluster: Cluster, ctx: ActionContext) -> None:
    """With another APP_KEY all users are signed out, at random while nodes differ.

    Raises RefusedError when this node was configured with another one.
    """
    if cluster.me.host not in cluster.groups.get("app", ()):
        return
    plan = here(ctx.vars).plan
    there = ctx.probe(f"grep -h '^APP_KEY=' {quote(plan.folder)}/node.env 2>/dev/null || true")
    ours = [line for line in plan.environment.reveal().splitlines() if line.startswith("APP_KEY=")]
    if there.out.strip() and there.out.splitlines() != ours:
        raise RefusedError(
            f"{ctx.host} has another APP_KEY than `secrets.app_key` gives",
            hint=f"put the key back that {ctx.host} has (in {plan.folder}/node.env there)",
        )


def wanted(
    cluster: Cluster, variables: Mapping[str, Any], last: Mapping[str, Any] | None
) -> Release:
    """The record of what is deployed now: the last one when it says the same, else the next."""
    run = str(variables.get("nbops_run", ""))
    first = cluster.nodes[0]
    image = cluster.fact(first.host, "nocobase_image") or {}
    record = Release(
        number=1,
        parent=None,
        version=cluster.version,
        image=str(image.get("reference", "")),
        digest=str(image.get("digest", "")),
        fingerprint=environment_fingerprint(cluster),
        who=str(variables.get("nbops_operator", "")),
        when=releases.moment(run),
        run=run,
        files={node.host: node_files(cluster, node) for node in cluster.nodes},
    )
    if last is None:
        return record
    if last["content"] != record.content:
        return replace(record, number=int(last["number"]) + 1, parent=int(last["number"]))
    return replace(record, **{key: last[key] for key in ("number", "parent", "who", "when", "run")})


def _result(
    facts: Mapping[str, Any] | None,
    *,
    changed: bool = False,
    marks: Mapping[str, str] | None = None,
) -> Result:
    told: dict[str, Any] = {FACT: facts} if marks is None else {FACT: facts, KEYS_FACT: dict(marks)}
    return Result(changed=changed, values={"release": facts}, facts=told)
