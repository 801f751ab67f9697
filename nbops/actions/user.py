"""`user`: an account on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AliasChoices, Field

from nbops.actions.api import ActionContext, Result
from nbops.actions.outcome import failed, lines_of, must
from nbops.actions.paths import Answer
from nbops.actions.values import AnyText, Path, Plain, PlainList
from nbops.actions.words import compose, quoted
from nbops.base.command import Text, quote
from nbops.runbook.spec import ActionSpec, Args


class UserArgs(Args):
    """The arguments of `user`."""

    name: Plain = Field(description="The account.", pattern=r"^[^-:\s][^:\s]*$")
    state: Literal["present", "absent"] = Field("present", description="There or not.")
    uid: int | None = Field(None, description="Its number.", ge=0)
    non_unique: bool = Field(False, description="Another account may have that number.")
    group: Plain | None = Field(None, description="Its main group.")
    groups: PlainList | None = Field(None, description="Its further groups; [] for none.")
    append: bool = Field(False, description="Keep further groups that are not named.")
    shell: Path | None = Field(None, description="Its shell.")
    home: Path | None = Field(None, description="Its home folder.")
    create_home: bool = Field(
        True,
        description="Make the home folder.",
        validation_alias=AliasChoices("create_home", "createhome"),
    )
    move_home: bool = Field(False, description="Move the home folder when it is another one.")
    comment: Plain | None = Field(None, description="Who it is.")
    system: bool = Field(False, description="An account for a service, not for a person.")
    password: AnyText | None = Field(None, description="The password as crypt writes it.")
    update_password: Literal["always", "on_create"] = Field(
        "always", description="Set the password also of an account that is there."
    )
    password_lock: bool | None = Field(None, description="Lock or unlock the password.")
    remove: bool = Field(False, description="With `absent`: the home folder goes too.")
    force: bool = Field(False, description="With `absent`: also while it is in use.")


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the host knows it; `locked` is None when that may not be read."""

    uid: int
    gid: int
    comment: str
    home: str
    shell: str
    groups: frozenset[str]
    same_password: bool = True
    locked: bool | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the probe saw. Groups map what was asked for to (name, number); None: no such."""

    account: Account | None
    groups: dict[str, tuple[str, int] | None]
    own_group: bool


def probe_script(args: UserArgs) -> Text:
    """Prints the account, its groups, the groups asked for, and whether the password is it."""
    name = quote(args.name)
    asked = [*([args.group] if args.group is not None else []), *(args.groups or [])]
    lines: list[Text] = [
        f"u=$(getent passwd {name}) || u=; printf '%s\\0' \"$u\"\n",
        f"g=$(id -Gn -- {name} 2>/dev/null); printf '%s\\0' \"$g\"\n",
        'g=${u#*:*:*:}; g=${g%%:*}; [ -z "$g" ] || getent group "$g"; printf \'\\0\'\n',
        f"getent group {name} >/dev/null && printf 1; printf '\\0'\n",
    ]
    lines += [f"getent group {quote(group)}; printf '\\0'\n" for group in asked]
    lines.append(f"s=$(getent shadow {name} 2>/dev/null) || s=; s=${{s#*:}}; s=${{s%%:*}}\n")
    if args.password is not None:
        # Compared there, so that neither password shows on a process list or comes over.
        lines += ['if [ "${s#!}" = ', quoted(args.password), ' ] || [ "$s" = ']
        lines += [quoted(args.password), " ]; then printf 1; fi\n"]
    lines.append("printf '\\0'; case $s in '') ;; !*) printf yes;; *) printf no;; esac\n")
    lines.append("printf '\\0'\n")
    return compose(*lines)


def read_seen(output: bytes, args: UserArgs) -> Seen:
    """The answer to `probe_script`."""
    answer = Answer(output)
    row = answer.text().split(":")
    names = answer.text().split()
    main = answer.text().split(":")[0]
    own_group = answer.flag()
    groups: dict[str, tuple[str, int] | None] = {}
    for group in [*([args.group] if args.group is not None else []), *(args.groups or [])]:
        found = answer.text().strip().split(":")
        groups[group] = (found[0], int(found[2])) if len(found) > 2 else None
    same, locked = answer.flag(), answer.text()
    if len(row) < 7:
        return Seen(None, groups, own_group)
    account = Account(
        uid=int(row[2]),
        gid=int(row[3]),
        comment=row[4],
        home=row[5],
        shell=row[6],
        groups=frozenset(names) - {main},
        same_password=same,
        locked={"yes": True, "no": False}.get(locked),
    )
    return Seen(account, groups, own_group)


def create_commands(args: UserArgs, seen: Seen) -> list[Text]:
    """The commands that make the account."""
    words = ["useradd"]
    words += ["-u", str(args.uid)] if args.uid is not None else []
    words += ["-o"] if args.uid is not None and args.non_unique else []
    if args.group is not None:
        words += ["-g", args.group]
    elif seen.own_group:
        words.append("-N")
    words += ["-G", ",".join(args.groups)] if args.groups else []
    words += ["-c", args.comment] if args.comment is not None else []
    words += ["-d", args.home] if args.home is not None else []
    words += ["-s", args.shell] if args.shell is not None else []
    words.append("-m" if args.create_home else "-M")
    words += ["-r"] if args.system else []
    commands: list[Text] = [_line([*words, "--", args.name])]
    if args.password is not None:
        commands.append(_set_password(args.name, args.password))
    if args.password_lock:
        commands.append(_line(["usermod", "-L", "--", args.name]))
    return commands


def change_commands(args: UserArgs, seen: Seen, account: Account) -> list[Text]:
    """The commands that change the account; none when it is as it should be."""
    words: list[str] = []
    if args.uid is not None and args.uid != account.uid:
        words += ["-u", str(args.uid), *(["-o"] if args.non_unique else [])]
    main = seen.groups.get(args.group) if args.group is not None else None
    if main is not None and main[1] != account.gid:
        words += ["-g", str(main[1])]
    words += _group_words(args, seen, account)
    if args.comment is not None and args.comment != account.comment:
        words += ["-c", args.comment]
    if args.home is not None and args.home != account.home:
        words += ["-d", args.home, *(["-m"] if args.move_home else [])]
    if args.shell is not None and args.shell != account.shell:
        words += ["-s", args.shell]
    if args.password_lock is not None and account.locked is (not args.password_lock):
        words.append("-L" if args.password_lock else "-U")
    commands: list[Text] = [_line(["usermod", *words, "--", args.name])] if words else []
    renew = args.update_password != "on_create"  # noqa: S105 - a way, not a password
    if args.password is not None and renew and not account.same_password:
        commands.append(_set_password(args.name, args.password))
    return commands


def _group_words(args: UserArgs, seen: Seen, account: Account) -> list[str]:
    if args.groups is None:
        return []
    found = (seen.groups[group] for group in args.groups)
    wanted = {group[0] for group in found if group is not None}
    if args.append:
        missing = wanted - account.groups
        return ["-a", "-G", ",".join(sorted(missing))] if missing else []
    main = seen.groups.get(args.group) if args.group is not None else None
    if wanted - ({main[0]} if main else set()) == account.groups:
        return []
    return ["-G", ",".join(sorted(wanted))]


def _line(words: Sequence[str]) -> str:
    return " ".join(quote(word) for word in words) + " || exit\n"


def _set_password(name: str, password: Text) -> Text:
    # printf is built into the shell: the password is on no argument list.
    return compose(
        f"printf '%s:%s\\n' {quote(name)} ", quoted(password), " | chpasswd -e || exit\n"
    )


class UserAction:
    """Makes, changes and removes accounts."""

    spec = ActionSpec(
        name="user",
        args=UserArgs,
        summary="Make, change or remove an account on the host.",
        example="- user:\n    name: nocobase\n    system: true\n    groups: [docker]\n"
        "    append: true\n",
        returns={
            "uid": "Its number.",
            "group": "Its main group's number.",
            "groups": "Its further groups, as asked for.",
            "home": "Its home folder.",
            "shell": "Its shell.",
            "comment": "Who it is.",
        },
    )

    def run(self, args: UserArgs, ctx: ActionContext) -> Result:
        """Change what differs; in check mode, say what would be changed."""
        outcome = must(ctx.probe(probe_script(args)), f"looking at user {args.name}")
        seen = read_seen(outcome.stdout, args)
        if args.state == "absent":
            return self._remove(args, seen, ctx)
        for group, found in seen.groups.items():
            if found is None:
                return failed(f"Group {group} does not exist", name=args.name)
        if seen.account is None:
            commands = create_commands(args, seen)
            if ctx.check:
                return Result(changed=True)
        else:
            commands = change_commands(args, seen, seen.account)
        account, changed = seen.account, bool(commands)
        if changed and not ctx.check:
            plain = args.model_copy(update={"password": None})
            outcome = ctx.act(compose(*commands, probe_script(plain)))
            if not outcome.ok:
                return failed(outcome.err.strip(), name=args.name, rc=outcome.status)
            account = read_seen(outcome.stdout, plain).account
        values = _values(args, account, created=seen.account is None)
        return Result(changed=changed, values=values)

    def _remove(self, args: UserArgs, seen: Seen, ctx: ActionContext) -> Result:
        values: dict[str, Any] = {"name": args.name, "state": "absent"}
        if seen.account is None:
            return Result(values=values)
        if ctx.check:
            return Result(changed=True)
        flags = ["-f"] if args.force else []
        flags += ["-r"] if args.remove else []
        outcome = ctx.act(_line(["userdel", *flags, "--", args.name]))
        if not outcome.ok:
            return failed(outcome.err.strip(), name=args.name, rc=outcome.status)
        values |= {"force": args.force, "remove": args.remove}
        values |= lines_of("stderr", outcome.err) if outcome.err else {}
        return Result(changed=True, values=values)


def _values(args: UserArgs, account: Account | None, *, created: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"name": args.name, "state": "present"}
    if created:
        values |= {"system": args.system, "create_home": args.create_home}
    else:
        values |= {"append": args.append, "move_home": args.move_home}
    if args.groups is not None:
        values["groups"] = ",".join(args.groups)
    if args.password is not None:
        values["password"] = "NOT_LOGGING_PASSWORD"  # noqa: S105 - Ansible's word for it
    if account is not None:
        values |= {
            "uid": account.uid,
            "group": account.gid,
            "home": account.home,
            "shell": account.shell,
            "comment": account.comment,
        }
    return values
