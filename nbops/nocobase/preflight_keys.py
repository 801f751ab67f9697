"""Keys, environments and versions of what is there already, held against the settings. Pure.

Values never leave the hosts: what is compared are marks (`preflight_needs.env_mark`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nbops.nocobase.keys import KEYS
from nbops.nocobase.preflight_host import numbers
from nbops.nocobase.preflight_model import Finding, Level, Look, Needs, Situation
from nbops.nocobase.preflight_needs import env_mark

STORAGE = "storage"
_SAME_DATABASE = ("DB_DATABASE", "DB_PASSWORD")
_SIGN_IN = ("DB_DATABASE", "DB_USER", "DB_PASSWORD")


@dataclass(frozen=True)
class App:
    """A NocoBase that is there on a node: its name, the nbops cluster that it belongs to
    (empty: built by hand), and the marks of its environment."""

    host: str
    name: str
    cluster: str
    state: str
    image: str
    marks: Mapping[str, str]

    @property
    def shown(self) -> str:
        """What a message calls it."""
        return self.name.removeprefix("/")


def apps_of(host: str, look: Look) -> list[App]:
    """The apps that were seen on a host."""
    marks: dict[str, dict[str, str]] = {}
    for source, name, mark in (row for row in look.all("env") if len(row) == 3):
        marks.setdefault(source, {})[name] = mark
    rows = ((*row, "", "", "")[:4] for row in look.all("app"))
    return [
        App(host, name, cluster, state, image, marks.get(name, {}))
        for name, cluster, state, image in rows
    ]


def expected_marks(needs: Needs) -> dict[str, str]:
    """The marks that an app with the wanted environment has."""
    return {name: env_mark(needs.salt, name, value) for name, value in needs.environment.items()}


def key_findings(situation: Situation) -> Iterator[Finding]:
    """What hinders because of what is there: other keys, a cluster built by hand, versions."""
    apps = [app for host in situation.nodes for app in apps_of(host, situation.look(host))]
    own = [app for app in apps if app.cluster == situation.cluster]
    foreign = by_hand(situation)
    yield from _strangers(situation, apps, foreign)
    yield from _other_keys(situation, [*own, *foreign])
    yield from _stored_key(situation)
    yield from _environments(situation, own)
    if situation.release is None and not situation.begun and not own:
        yield from _takeover(situation, foreign)
        yield from _other_passwords(situation, foreign)
    yield from _versions(situation)


def by_hand(situation: Situation) -> list[App]:
    """The apps of this cluster that nbops did not start: of the same database, or key."""
    apps = [app for host in situation.nodes for app in apps_of(host, situation.look(host))]
    return [app for app in apps if not app.cluster and _is_ours(situation, app)]


def database_row(situation: Situation) -> tuple[str, tuple[str, ...]] | None:
    """What the database said, and on which host: version, may create, MiB, tables, version
    of the app, snapshot isolation."""
    for host, look in situation.looks.items():
        for row in look.all("database"):
            if row[0] == "ok":
                return host, (*row[1:], "", "", "", "", "", "")[:6]
    return None


def running_version(look: Look) -> str:
    """The version that the app on a node says of itself; empty when it says nothing."""
    try:
        return str(json.loads(look.text("serves"))["data"]["version"])
    except (ValueError, KeyError, TypeError):
        return ""


def _is_ours(situation: Situation, app: App) -> bool:
    """Whether an app that was built by hand is of this cluster: the same database, or key."""
    wanted = expected_marks(situation.needs[app.host])
    same = {name for name, mark in app.marks.items() if wanted.get(name) == mark}
    return "APP_KEY" in same or same.issuperset(_SAME_DATABASE)


def _strangers(situation: Situation, apps: list[App], foreign: list[App]) -> Iterator[Finding]:
    for app in apps:
        if app.cluster == situation.cluster or app in foreign:
            continue
        whose = f"of the cluster `{app.cluster}`" if app.cluster else "with another database"
        yield Finding(
            app.host,
            Level.NOTE,
            f"another NocoBase {whose} is on this host: `{app.shown}`",
            "nothing is done to it; take care that memory and ports are enough for both",
        )


def _other_keys(situation: Situation, apps: list[App]) -> Iterator[Finding]:
    for app in apps:
        wanted = situation.needs[app.host]
        for name, setting in KEYS.items():
            mark = app.marks.get(name)
            if mark is None or mark in _marks_of_key(wanted, name):
                continue
            yield Finding(
                app.host,
                Level.PROBLEM,
                f"`{app.shown}` has another {name} than `{setting}` gives: {_harm(name)}",
                _way_to_key(app, name, setting),
            )


def _other_passwords(situation: Situation, foreign: list[App]) -> Iterator[Finding]:
    """What was built by hand has to start again when it cannot be taken over."""
    for app in foreign:
        wanted = expected_marks(situation.needs[app.host])
        names = {name for name in _SIGN_IN if app.marks.get(name) == wanted.get(name)}
        if app.marks.get("DB_PASSWORD") and names == {*_SIGN_IN} - {"DB_PASSWORD"}:
            yield Finding(
                app.host,
                Level.PROBLEM,
                f"`{app.shown}` signs in to the database with another password than"
                " `database.password` gives",
                "put its password into the file that `database.password` names: on this computer"
                f" `ssh {app.host} docker exec {app.shown} printenv DB_PASSWORD >"
                " secrets/db_password`; a deploy changes it later",
            )


def _way_to_key(app: App, name: str, setting: str) -> str:
    if name == "APP_KEY":
        return (
            f"put its key into the file that `{setting}` names: on this computer"
            f" `ssh {app.host} docker exec {app.shown} printenv APP_KEY > secrets/app_key`"
        )
    return (
        f"put its key into the file that `{setting}` names: APP_AES_SECRET_KEY of its"
        " environment, or aes_key.dat of its storage as hex digits"
        " (`od -An -v -tx1 aes_key.dat | tr -d ' \\n'`)"
    )


def _stored_key(situation: Situation) -> Iterator[Finding]:
    """A key that the app drew for itself lies in its storage."""
    for host in situation.nodes:
        rows = (row for row in situation.look(host).all("env") if len(row) == 3)
        marks = {name: mark for source, name, mark in rows if source == STORAGE}
        mark = marks.get("APP_AES_SECRET_KEY")
        needs = situation.needs[host]
        if mark and mark not in _marks_of_key(needs, "APP_AES_SECRET_KEY"):
            yield Finding(
                host,
                Level.PROBLEM,
                f"{needs.storage} holds an aes_key.dat with another key than `secrets.aes_key`"
                f" gives: {_harm('APP_AES_SECRET_KEY')}",
                "put it into the file that `secrets.aes_key` names, as hex digits:"
                " `od -An -v -tx1 aes_key.dat | tr -d ' \\n'`",
            )
            return


def _marks_of_key(needs: Needs, name: str) -> set[str]:
    value = needs.environment.get(name, "")
    values = {value, value.lower(), value.upper()} if name != "APP_KEY" else {value}
    return {env_mark(needs.salt, name, one) for one in values}


def _harm(name: str) -> str:
    if name == "APP_KEY":
        return "all users would be signed out"
    return "what is stored encrypted could not be read any more"


def _environments(situation: Situation, own: list[App]) -> Iterator[Finding]:
    """Proves by a fingerprint that nodes run with one environment, or says what differs."""
    running = [app for app in own if app.state == "running" and app.marks]
    if not running:
        return
    first = running[0]
    odd = {app.host: differ for app in running[1:] if (differ := _differ(app.marks, first.marks))}
    for host, names in odd.items():
        yield Finding(
            host,
            Level.WARNING,
            f"the app here runs with another environment than on {first.host}: {_listed(names)}",
            "`nbops deploy` makes it the same on every node",
        )
    if odd:
        return
    hosts = ", ".join(dict.fromkeys(app.host for app in running))
    changes = _differ(first.marks, expected_marks(situation.needs[first.host]))
    yield Finding(
        first.host,
        Level.NOTE,
        f"environment {fingerprint(first.marks)} ({len(first.marks)} variables) is the same on"
        f" {hosts}, and "
        + (f"a deploy changes {_listed(changes)}" if changes else "as the inventory says"),
    )


def fingerprint(marks: Mapping[str, str]) -> str:
    """Twelve digits that are equal for environments that are equal."""
    text = "\n".join(f"{name}={mark}" for name, mark in sorted(marks.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _differ(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} - KEYS.keys() if one.get(name) != other.get(name))


def _takeover(situation: Situation, foreign: list[App]) -> Iterator[Finding]:
    """There is no release: is there a cluster all the same?"""
    asked = database_row(situation)
    tables = int(asked[1][3] or 0) if asked and asked[1][3].isdecimal() else 0
    version = asked[1][4] if asked else ""
    first = situation.first
    if tables and asked and not version:
        yield Finding(
            asked[0],
            Level.WARNING,
            f"the database holds {tables} tables, and no NocoBase has installed itself there",
            "give the app a database of its own: `database.name`",
        )
    if not version and not foreign:
        return
    where = f"the database holds a NocoBase {version} already" if version else ""
    names = ", ".join(sorted({f"`{app.shown}` on {app.host}" for app in foreign}))
    runs = f"a NocoBase that nbops did not deploy is there ({names})" if names else ""
    what = " and ".join(part for part in (where, runs) if part)
    host = asked[0] if asked and version else first
    if not situation.adopt:
        yield Finding(
            host,
            Level.PROBLEM,
            f"{what}, and there is no release of `{situation.cluster}`",
            "if it is this cluster, built by hand: put its APP_KEY and AES key into the secrets"
            " and run `nbops deploy --adopt`; if not, name another `database.name`",
        )
        return
    if version and version != situation.version:
        yield Finding(
            host,
            Level.PROBLEM,
            f"{what}, and the inventory says `version: {situation.version}`",
            f"take it over with `version: {version}`, then `nbops upgrade`",
        )
    proven = any("APP_KEY" in app.marks for app in foreign)
    yield Finding(
        host,
        Level.NOTE if proven else Level.WARNING,
        f"{what}: it is taken over"
        + ("" if proven else ", and no node is there whose APP_KEY could be compared"),
        "" if proven else "make sure that `secrets.app_key` is the cluster's own key",
    )


def _versions(situation: Situation) -> Iterator[Finding]:
    asked = database_row(situation)
    installed = {
        "the database is at": asked[1][4] if asked else "",
        "the present release is": str((situation.release or {}).get("version", "")).removesuffix(
            "-full"
        ),
    }
    first = situation.first
    older = False
    for words, version in installed.items():
        if version and numbers(version) > numbers(situation.version):
            older = True
            yield Finding(
                asked[0] if asked and "database" in words else first,
                Level.PROBLEM,
                f"the inventory says `version: {situation.version}`, and {words} {version}:"
                " NocoBase cannot go back",
                f"`version: {version}`; the way back to an older release is `nbops rollback`",
            )
    present = installed["the present release is"]
    if present and not older and present != situation.version:
        yield Finding(
            first,
            Level.NOTE,
            f"the cluster runs {present}, and the inventory says {situation.version}",
            f"`nbops upgrade --version {situation.version}` goes there; a deploy refuses it",
        )
    for host in situation.nodes:
        runs = running_version(situation.look(host))
        if present and runs and runs != present:
            yield Finding(
                host,
                Level.WARNING,
                f"the app says that it is {runs}, and the present release is {present}",
                "`nbops deploy` starts it anew with the release's image",
            )


def _listed(names: list[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
