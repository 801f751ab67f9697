"""`nocobase_release`: the record of what is deployed, on every host of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from nbops.actions.api import ActionContext, EndRun, Result
from nbops.base.command import Effect, quote
from nbops.base.errors import ActionFailed, Place, RefusedError
from nbops.base.secret import Secret
from nbops.nocobase import releases
from nbops.nocobase.cluster import Cluster, cluster_of
from nbops.nocobase.databases.copies import is_restored
from nbops.nocobase.databases.here import in_use
from nbops.nocobase.files import Wanted, put_script, stage
from nbops.nocobase.keys import RELEASE_KEYS, match_keys, release_marks
from nbops.nocobase.plans import RECORDS, here, in_database, recorded, wanted_release
from nbops.nocobase.releases import PENDING, Release, read_release, way_back
from nbops.nocobase.steps.leavers import RELEASES, check_joined, check_leavers
from nbops.runbook.spec import ActionSpec, Args

FACT = "nocobase_release"
ON_ITS_WAY = "nocobase_pending"
BACK = "nocobase_back"
SWITCHED = "nocobase_switched"
_LOOK = """\
cd {folder} 2>/dev/null || exit 0
for one in *.json; do
    [ -f "$one" ] || continue
    printf '%s\\t' "$one" && tr -d '\\n' <"$one" && echo || exit 1
done
"""


class ReleaseArgs(Args):
    """The arguments of `nocobase_release`."""

    state: Literal[
        "read", "open", "match", "nodes", "newer", "back", "pending", "present", "dropped"
    ] = Field(
        description="`read` the host's records; `open` them with their secrets, for the way"
        " back; `match` them with the inventory over all hosts, which refuses another version;"
        " `nodes` refuses unless the group `app` is the nodes of the present release; `newer`"
        " refuses all but a later version, and ends the run when it is there already; `back`"
        " finds where a rollback goes; `pending` writes what is on its way; `present` writes"
        " what is deployed now; `dropped` removes what was on its way, and writes down the"
        " database that serves since where that is another one. `nodes`, `newer` and `back`"
        " refuse while a node is in the group `app` no more and was not stopped by a deploy."
    )
    phase: Literal["maintenance", "upgrade"] = Field(
        default="maintenance",
        description="With `pending`: users are sent away; or, later, the database is touched.",
    )
    to: int | None = Field(default=None, description="With `back`: the number of a release.")


class ReleaseRecord:
    """Reads, compares or writes the record."""

    spec = ActionSpec(
        name="nocobase_release",
        args=ReleaseArgs,
        summary="Keep the record of what is deployed on every host.",
        example="- nocobase_release:\n    state: present\n",
        free_form="state",
        effect=Effect.FILE,
        returns={
            "release": "The record without its files; none when nothing is deployed.",
            "pending": "With `nodes`: what another run left on its way; none when none did.",
        },
    )

    def run(self, args: ReleaseArgs, ctx: ActionContext) -> Result:
        """Sets the fact `nocobase_release` where it reads or writes."""
        cluster = cluster_of(ctx.vars)
        if args.state == "back":
            return back(cluster, args.to)
        if args.state == "pending":
            return _write(cluster, ctx, coming(cluster, ctx.vars, args.phase), PENDING)
        return _STATES[args.state](cluster, ctx)


def _texts(cluster: Cluster, ctx: ActionContext) -> dict[str, str]:
    """The records on the host, by name."""
    outcome = ctx.probe(_LOOK.format(folder=quote(releases.folder(cluster.name))))
    if not outcome.ok:
        raise ActionFailed(f"cannot read the releases on {ctx.host}: {outcome.err.strip()}")
    found = dict(line.split("\t", 1) for line in outcome.out.splitlines() if "\t" in line)
    wanted = {f"{number:06d}.json" for number in releases.numbers(found)} | {f"{PENDING}.json"}
    return {name.removesuffix(".json"): found[name] for name in sorted(wanted & found.keys())}


def _read(cluster: Cluster, ctx: ActionContext) -> Result:
    """What the run itself has written is not what it found: one that goes on may have to read
    once more, and begins then where it began."""
    records: dict[str, Release] = {}
    for name, text in _texts(cluster, ctx).items():
        try:
            record = read_release(text)
        except ValueError as error:
            raise ActionFailed(
                f"{releases.path(cluster.name, name)} on {ctx.host} is no release: {error}",
                hint="when another host has a good copy, move this file away and run again",
            ) from error
        if record.run != ctx.vars.get("nbops_run"):
            records[name] = record
    pending = records.pop(PENDING, None)
    known = [record.facts() for record in records.values()]
    newest = known[-1] if known else None
    last = list(records.values())[-1:]
    facts = {
        FACT: newest,
        RELEASES: known,
        ON_ITS_WAY: pending.facts() if pending else None,
        RELEASE_KEYS: release_marks(last[0], cluster.settings) if last else {},
    }
    return Result(values={"release": newest}, facts=facts)


def _open(cluster: Cluster, ctx: ActionContext) -> Result:
    texts = {name: Secret(text) for name, text in _texts(cluster, ctx).items()}
    return Result(facts={RECORDS: texts})


def _present(cluster: Cluster, ctx: ActionContext) -> Result:
    record = coming(cluster, ctx.vars, "")
    return _write(cluster, ctx, record, record.number)


def _match(cluster: Cluster, ctx: ActionContext) -> Result:
    none_pending(cluster)
    present = match(cluster, place_of_version(ctx.vars))
    match_keys(cluster, present)
    match_database(cluster)
    _same_key(cluster, ctx)
    return _result(present)


def _write(cluster: Cluster, ctx: ActionContext, record: Release, name: int | str) -> Result:
    facts = {ON_ITS_WAY: record.facts()} if name == PENDING else facts_of(cluster, record)
    if _stands(cluster, record, name):
        return Result(values={"release": record.facts()}, facts=facts)
    if not ctx.check:
        folder = quote(releases.folder(cluster.name))
        file = Wanted(releases.path(cluster.name, name), Secret(record.text()), 0o600)
        script = f"set -e\n(umask 077; mkdir -p {folder})\n{put_script(stage(ctx, [file]))}"
        if name != PENDING:
            ctx.seal()  # what is recorded stays
            script += f"\nrm -f {quote(releases.path(cluster.name, PENDING))}"
        outcome = ctx.act(script)
        if not outcome.ok:
            raise ActionFailed(f"cannot record the release on {ctx.host}: {outcome.err.strip()}")
    return Result(changed=True, values={"release": record.facts()}, facts=facts)


def _stands(cluster: Cluster, record: Release, name: int | str) -> bool:
    """Whether the host itself has the record: what others know does not help it."""
    way, own = (cluster.fact(cluster.me.host, fact) for fact in (ON_ITS_WAY, RELEASES))
    if name == PENDING:
        return bool(way == record.facts())
    return not way and record.facts() in (own or ())


def facts_of(cluster: Cluster, record: Release) -> dict[str, Any]:
    """What is known on a host once this is its present release, which can be aimed at too."""
    known, texts = (cluster.fact(cluster.me.host, name) for name in (RELEASES, RECORDS))
    earlier = [one for one in known or () if one["number"] != record.number]
    return {
        FACT: record.facts(),
        ON_ITS_WAY: None,
        RELEASES: [*earlier, record.facts()],
        RECORDS: {**(texts or {}), f"{record.number:06d}": Secret(record.text())},
    }


def _drop(cluster: Cluster, ctx: ActionContext) -> Result:
    moved = moved_release(cluster, ctx.vars)
    if moved is not None:
        result = _write(cluster, ctx, moved, moved.number)
        return replace(result, facts={ON_ITS_WAY: None})
    path = quote(releases.path(cluster.name, PENDING))
    there = ctx.probe(f"[ ! -e {path} ]")
    if not there.ok and not ctx.check:
        outcome = ctx.act(f"rm -f {path}\n")
        if not outcome.ok:
            raise ActionFailed(f"cannot remove {path} on {ctx.host}: {outcome.err.strip()}")
    return Result(changed=not there.ok, facts={ON_ITS_WAY: None})


def moved_release(cluster: Cluster, variables: Mapping[str, Any]) -> Release | None:
    """The present release under a new number, when a restore on the way back gave it another
    database than it is recorded with (a server that renames none); else None."""
    last, database = known(cluster), in_use(cluster)
    if last is None or database == in_use(cluster, told_now=False):
        return None
    return replace(
        in_database(recorded(cluster, int(last["number"])), database),
        number=int(last["number"]) + 1,
        who=str(variables.get("nbops_operator", "")),
        when=releases.moment(str(variables.get("nbops_run", ""))),
        run=str(variables.get("nbops_run", "")),
    )


def known(cluster: Cluster) -> Mapping[str, Any] | None:
    """The present release as far as any host has told."""
    return releases.newest(cluster.fact(host, FACT) for host in cluster.members)


def pending(cluster: Cluster) -> Mapping[str, Any] | None:
    """The release on its way, as far as any host has told."""
    told = [cluster.fact(host, ON_ITS_WAY) for host in cluster.members]
    return releases.on_its_way(told, known(cluster))


def none_pending(cluster: Cluster) -> None:
    """Raises RefusedError when an upgrade was begun and neither finished nor undone."""
    way = pending(cluster)
    if way:
        raise RefusedError(
            f"{way['who']} began to bring {cluster.name} to {way['version']} (run {way['run']}),"
            " and neither finished nor undid it",
            hint=f"on that computer `nbops resume {way['run']}` or `nbops abort {way['run']}`;"
            " from any other one `nbops rollback`",
        )


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
        way = f"`nbops upgrade --version {cluster.version}` changes the version"
        if releases.order(str(last["version"])) > releases.order(cluster.version):
            way = "`nbops rollback` goes back to the release before, with its database"
        raise RefusedError(
            f"the inventory says `version: {cluster.version}`, but {cluster.name} runs"
            f" {last['version']} (release {last['number']})",
            place=place,
            hint=f"{way}; for a deploy say `version: {last['version']}`",
        )
    return last


def match_database(cluster: Cluster) -> None:
    """Raises RefusedError when the inventory names another database than the one in use, which
    a deploy does not exchange."""
    name, database = str(cluster.part("database")["name"]), in_use(cluster)
    if database != name and not is_restored(database, name):
        raise RefusedError(
            f"the inventory says `database.name: {name}`, but {cluster.name} uses {database}",
            hint="put it back: a deployed cluster keeps its database",
        )


def newer(cluster: Cluster, place: Place | None = None) -> Result:
    """Whether the version is a later one than what is deployed; ends the run when it is it.

    Raises RefusedError when nothing is deployed, when it is an earlier one, or when an
    upgrade is half-way.
    """
    none_pending(cluster)
    last = _deployed(cluster)
    if last["version"] == cluster.version:
        text = f"{cluster.name} runs {cluster.version} already (release {last['number']})"
        return Result(msg=text, values={"release": last}, directive=EndRun(text))
    if releases.order(str(last["version"])) > releases.order(cluster.version):
        raise RefusedError(
            f"{cluster.version} is earlier than {last['version']}, which {cluster.name} runs:"
            " NocoBase does not go back with the same database",
            place=place,
            hint="`nbops rollback` goes back to the release before, with its database",
        )
    return replace(_result(last), warnings=check_leavers(cluster, last))


def nodes(cluster: Cluster) -> Result:
    """Whether the group `app` is the nodes of the present release.

    Raises RefusedError when it is not, and when nothing is deployed.
    """
    last, way = _deployed(cluster), pending(cluster)
    warnings = check_leavers(cluster, last, way)
    check_joined(cluster, last, way)
    values = {"release": last, "pending": way}
    return Result(values=values, facts={FACT: last}, warnings=warnings)


def _deployed(cluster: Cluster) -> Mapping[str, Any]:
    last = known(cluster)
    if last is None:
        raise RefusedError(
            f"{cluster.name} is not deployed yet", hint="`nbops deploy` is for the first time"
        )
    return last


def back(cluster: Cluster, to: int | None) -> Result:
    """Where a rollback goes: from what is on its way, if anything is, else from the present
    release. Raises RefusedError when there is no way."""
    last, way_on = known(cluster), pending(cluster)
    current = way_on or last
    if current is None:
        raise RefusedError(f"{cluster.name} is not deployed: there is nothing to go back from")
    warnings = check_leavers(cluster, last, way_on)
    told = [facts for host in cluster.members for facts in cluster.fact(host, RELEASES) or ()]
    try:
        way = way_back(told, current, to)
    except ValueError as error:
        raise RefusedError(str(error), hint="`nbops releases` lists them") from None
    values = {"from": dict(current), "to": dict(way.target), "backup": way.backup}
    return Result(values=values, facts={BACK: values}, warnings=warnings)


def coming(cluster: Cluster, variables: Mapping[str, Any], phase: str) -> Release:
    """The record of what the run brings about: the last one when it says the same.

    With an aim it is that of an earlier release, under a new number.
    """
    last = known(cluster)
    run = str(variables.get("nbops_run", ""))
    aim = cluster.aim
    record = wanted_release(cluster) if aim is None else recorded(cluster, aim)
    record = replace(
        in_database(record, in_use(cluster)),
        who=str(variables.get("nbops_operator", "")),
        when=releases.moment(run),
        run=run,
        phase=phase,
    )
    if last is None:
        return replace(record, number=1, parent=None)
    if aim is None:
        if last["content"] == record.content and not phase:
            kept = ("number", "parent", "backup", "who", "when", "run")
            return replace(record, **{key: last[key] for key in kept})
        saved = "" if phase == "maintenance" else _backup(cluster)
        record = replace(record, parent=int(last["number"]), backup=saved)
    elif any(cluster.fact(host, SWITCHED) for host in cluster.members):
        # Plugins are in the database: the way back from them is the backup of before.
        record = replace(record, parent=int(last["number"]), backup=_backup(cluster))
    elif phase:
        # Whoever finds this on its way goes where it was going, not beyond.
        way = cluster.fact(cluster.me.host, BACK) or {"to": last, "backup": ""}
        record = replace(record, parent=int(way["to"]["number"]), backup=str(way["backup"]))
    return replace(record, number=int(last["number"]) + 1)


def _backup(cluster: Cluster) -> str:
    """The backup that this run made, before it touched the database."""
    made = [cluster.fact(host, "nocobase_backup") for host in cluster.members]
    return next((str(one["name"]) for one in made if one and one["what"] == "database"), "")


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


_STATES: Mapping[str, Callable[[Cluster, ActionContext], Result]] = {
    "read": _read,
    "open": _open,
    "match": _match,
    "nodes": lambda cluster, _ctx: nodes(cluster),
    "newer": lambda cluster, ctx: newer(cluster, place_of_version(ctx.vars)),
    "present": _present,
    "dropped": _drop,
}


def _result(facts: Mapping[str, Any] | None, *, changed: bool = False) -> Result:
    return Result(changed=changed, values={"release": facts}, facts={FACT: facts})
