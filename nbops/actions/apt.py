"""`apt` and `package`: Debian packages as they should be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from nbops.actions.api import ActionContext, Diff, Result
from nbops.actions.outcome import failed, lines_of, must
from nbops.actions.values import Plain, PlainList
from nbops.base.command import LONG_DEADLINE, Outcome, quote
from nbops.base.errors import ActionFailed
from nbops.runbook.spec import ActionSpec, Args

_NO_APT = 69
_NO_UPDATE = 70
_NAME = re.compile(r"([a-z0-9*][a-z0-9*?+.:-]*)(?:([=/])(\S+))?\Z")
_MISSING = re.compile(
    r"E: Unable to locate package (\S+)|E: Version '([^']*)' for '([^']*)' was not"
)
_COUNTS = re.compile(r"^(\d+) upgraded, (\d+) newly installed,(?: (\d+) reinstalled,)?"
                     r"(?: (\d+) downgraded,)? (\d+) to remove", re.MULTILINE)  # fmt: skip
_UPDATED = "nbops: lists updated"


class PackageArgs(Args):
    """The arguments of `package`."""

    name: PlainList = Field(description="Packages.")
    state: Literal["present", "absent", "latest", "installed", "removed"] = Field(
        "present", description="Whether they are to be there, and how new."
    )
    use: Literal["auto", "apt"] = Field("auto", description="Which package manager.")


class AptArgs(Args):
    """The arguments of `apt`."""

    name: PlainList = Field(
        default_factory=list,
        description="Packages: `name`, `name=version`, `name/release`.",
        validation_alias=AliasChoices("name", "package", "pkg"),
    )
    state: Literal["present", "absent", "latest", "fixed"] = Field(
        "present", description="Whether they are to be there, and how new."
    )
    update_cache: bool | None = Field(
        None,
        description="Fetch the lists of packages first.",
        validation_alias=AliasChoices("update_cache", "update-cache"),
    )
    cache_valid_time: int = Field(
        0, description="Lists younger than so many seconds are not fetched again.", ge=0
    )
    upgrade: Literal["no", "yes", "safe", "full", "dist"] = Field(
        "no", description="Upgrade what is installed."
    )
    default_release: Plain | None = Field(
        None,
        description="Release to take packages from.",
        validation_alias=AliasChoices("default_release", "default-release"),
    )
    install_recommends: bool | None = Field(
        None,
        description="Install recommended packages too.",
        validation_alias=AliasChoices("install_recommends", "install-recommends"),
    )
    only_upgrade: bool = Field(False, description="Install nothing that is not there yet.")
    allow_downgrade: bool = Field(
        False,
        description="Older versions may replace newer ones.",
        validation_alias=AliasChoices("allow_downgrade", "allow-downgrade", "allow_downgrades"),
    )
    allow_unauthenticated: bool = Field(False, description="Unsigned packages may be installed.")
    allow_change_held_packages: bool = Field(False, description="Held packages may be changed.")
    purge: bool = Field(False, description="Remove the configuration too.")
    autoremove: bool = Field(False, description="Remove what nothing needs any more.")
    autoclean: bool = Field(False, description="Remove downloaded packages that are outdated.")
    clean: bool = Field(False, description="Remove all downloaded packages.")
    force_apt_get: bool = Field(False, description="Accepted for Ansible's sake: always so.")
    lock_timeout: int = Field(60, description="Seconds to wait for another apt to end.", ge=0)
    dpkg_options: Plain = Field("force-confdef,force-confold", description="Options of dpkg.")

    @model_validator(mode="before")
    @classmethod
    def _yes_and_no(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("upgrade"), bool):
            return data | {"upgrade": "yes" if data["upgrade"] else "no"}
        return data

    @model_validator(mode="after")
    def _names(self) -> AptArgs:
        for name in self.name:
            if not _NAME.match(name):
                raise ValueError(f"`{name}` is not the name of a package")
        return self

    @property
    def updates(self) -> bool:
        """Whether the lists are to be fetched when they are old."""
        return self.update_cache is True or (
            self.update_cache is None and self.cache_valid_time > 0
        )


@dataclass(frozen=True, slots=True)
class Package:
    """A package on the host: its status in three letters of dpkg (`ii `), its version."""

    name: str
    status: str = ""
    version: str = ""

    @property
    def installed(self) -> bool:
        """Whether it is installed completely."""
        return self.status[1:2] == "i"

    @property
    def configured(self) -> bool:
        """Whether at least its configuration is there."""
        return self.status[1:2] not in {"", "n"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the probe saw: packages by name, and how old the lists are, in seconds."""

    packages: dict[str, Package]
    lists_time: int
    now: int


def probe_script(names: Sequence[str]) -> str:
    """Prints the age of the package lists and the status of packages."""
    plain = " ".join(quote(bare(name)) for name in names)
    query = (
        "dpkg-query -W -f '${binary:Package}|${db:Status-Abbrev}|${Version}\\n' -- "
        f"{plain} 2>/dev/null || :\n"
    )
    return (
        f"command -v apt-get >/dev/null 2>&1 || exit {_NO_APT}\n"
        "date +%s\n"
        "t=$(stat -c %Y /var/lib/apt/periodic/update-success-stamp 2>/dev/null) || "
        't=$(stat -c %Y /var/lib/apt/lists 2>/dev/null) || t=0; echo "$t"\n'
        + (query if names else "")
    )


def bare(name: str) -> str:
    """The name without version and release."""
    return re.split(r"[=/]", name, maxsplit=1)[0]


def read_seen(text: str) -> Seen:
    """The answer to `probe_script`."""
    now, lists_time, *rows = text.splitlines()
    packages: dict[str, Package] = {}
    for row in rows:
        name, status, version = row.split("|", 2)
        package = Package(name, status, version)
        packages[name] = package
        packages.setdefault(name.partition(":")[0], package)
    return Seen(packages, int(lists_time), int(now))


def differing(args: AptArgs, seen: Seen) -> list[str]:
    """The packages that apt must be asked about. `latest` cannot be told from here."""
    if args.state == "latest":
        return list(args.name)
    return [name for name in args.name if _differs(name, args, seen)]


def _differs(name: str, args: AptArgs, seen: Seen) -> bool:
    package = seen.packages.get(bare(name), Package(name))
    if any(sign in bare(name) for sign in "*?"):
        return True
    if args.state == "absent":
        return package.installed or (args.purge and package.configured)
    match = _NAME.match(name)
    wanted = match[3] if match and match[2] == "=" else None
    if wanted is not None and wanted != package.version:
        return True
    return not package.installed


def command(args: AptArgs, what: str, names: Sequence[str], *, simulate: bool) -> str:
    """One call of apt-get."""
    words = [
        "apt-get",
        "-y",
        "-q",
        "-o",
        "Dpkg::Use-Pty=0",
        "-o",
        f"DPkg::Lock::Timeout={args.lock_timeout}",
    ]
    for one in args.dpkg_options.split(","):
        words += ["-o", quote(f"Dpkg::Options::=--{one}")]
    words += ["-s"] if simulate else []
    if args.default_release is not None:
        words += ["-t", quote(args.default_release)]
    if args.install_recommends is not None:
        words += ["-o", f"APT::Install-Recommends={'yes' if args.install_recommends else 'no'}"]
    for flag, given in (
        ("--only-upgrade", args.only_upgrade),
        ("--allow-downgrades", args.allow_downgrade),
        ("--allow-unauthenticated", args.allow_unauthenticated),
        ("--allow-change-held-packages", args.allow_change_held_packages),
        ("--purge", args.purge),
        ("--auto-remove", args.autoremove),
    ):
        words += [flag] if given else []
    if what == "upgrade":
        words.append("--with-new-pkgs")
    words.append(what)
    if names:
        words += ["--", *(quote(name) for name in names)]
    return " ".join(words) + "\n"


def act_script(args: AptArgs, names: Sequence[str], *, update: bool, simulate: bool = False) -> str:
    """The calls of apt-get that are needed, without questions, waiting for other runs of it."""
    lines = ["export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical LC_ALL=C.UTF-8\n"]
    if update:
        tries = max(1, args.lock_timeout // 2)
        lines.append(
            "n=0; until e=$(apt-get -q -y update 2>&1 >/dev/null); do n=$((n+1))\n"
            f'case $e in *"Could not get lock"*) [ $n -lt {tries} ] && sleep 2 && continue;; esac\n'
            f"[ $n -lt 5 ] && sleep 2 && continue; printf '%s\\n' \"$e\" >&2; exit {_NO_UPDATE}\n"
            f"done; echo '{_UPDATED}'\n"
        )
    lines += [f"{call.rstrip()} || exit\n" for call in _calls(args, names, simulate)]
    return "".join(lines)


def _calls(args: AptArgs, names: Sequence[str], simulate: bool) -> list[str]:
    calls = []
    if args.upgrade != "no":
        verb = "dist-upgrade" if args.upgrade in {"full", "dist"} else "upgrade"
        calls.append(command(args, verb, (), simulate=simulate))
    if names:
        verb = "remove" if args.state == "absent" else "install"
        calls.append(command(args, verb, names, simulate=simulate))
    elif args.state == "fixed":
        calls.append(command(args, "install -f", (), simulate=simulate))
    if args.autoremove and not names:
        calls.append(command(args, "autoremove", (), simulate=simulate))
    if not simulate:
        calls += ["apt-get -q -y autoclean"] if args.autoclean else []
        calls += ["apt-get -q -y clean"] if args.clean else []
    return calls


def counted(text: str) -> bool:
    """Whether apt says that it changed (or would change) something."""
    return any(any(int(number or 0) for number in row) for row in _COUNTS.findall(text))


def trouble(outcome: Outcome) -> str:
    """What apt complains of, in Ansible's words where it has some."""
    missing = _MISSING.search(outcome.err)
    if missing and missing[1]:
        return f"No package matching '{missing[1]}' is available"
    if missing:
        return f"no available installation candidate for {missing[3]}={missing[2]}"
    if outcome.status == _NO_UPDATE:
        return f"Failed to update apt cache: {outcome.err.strip()}"
    lines = [line for line in outcome.err.splitlines() if line.startswith("E:")]
    return f"apt-get failed: {' '.join(lines) or outcome.err.strip() or outcome.status}"


def manage(args: AptArgs, ctx: ActionContext) -> Result:
    """Look, decide, and call apt-get only when something may differ."""
    outcome = ctx.probe(probe_script(args.name))
    if outcome.status == _NO_APT:
        raise ActionFailed("this host has no apt-get: only Debian's packages are known")
    seen = read_seen(must(outcome, "looking at the packages").out)
    stale = seen.now - seen.lists_time > args.cache_valid_time
    update = args.updates and (stale or args.cache_valid_time == 0)
    names = differing(args, seen)
    values: dict[str, Any] = {"cache_updated": False, "cache_update_time": seen.lists_time}
    calls = _calls(args, names, ctx.check)
    if not calls and not update:
        return Result(values=values)
    if ctx.check or (args.state == "latest" and not update):
        done = ctx.probe(act_script(args, names, update=False, simulate=True))
        if not ctx.check and done.ok and not counted(done.out):
            return Result(values=values)
    if not ctx.check:
        script = act_script(args, names, update=update)
        done = ctx.act(script + 'echo "nbops: $(date +%s)"\n', deadline=LONG_DEADLINE)
    if not done.ok:
        text = {**lines_of("stdout", done.out), **lines_of("stderr", done.err)}
        return failed(trouble(done), rc=done.status, **text)
    return _concluded(args, done, values, update, ctx)


def _concluded(
    args: AptArgs, done: Outcome, values: dict[str, Any], update: bool, ctx: ActionContext
) -> Result:
    text = done.out
    if not ctx.check:
        text, _, finished = text.rpartition("nbops: ")
        values["cache_updated"] = update
        values["cache_update_time"] = int(finished) if update else values["cache_update_time"]
        text = text.removeprefix(f"{_UPDATED}\n")
    else:
        values["cache_updated"] = update
    changed = counted(text)
    if not args.name and args.upgrade == "no" and update:
        changed = True
    if not changed:
        return Result(values=values)
    values |= {**lines_of("stdout", text), **lines_of("stderr", done.err)}
    diff = Diff(after=text, after_header="apt-get") if ctx.diff else None
    return Result(changed=True, values=values, diff=diff)


class AptAction:
    """Installs, upgrades and removes Debian packages."""

    spec = ActionSpec(
        name="apt",
        args=AptArgs,
        summary="Install, upgrade or remove Debian packages.",
        example="- apt:\n    name: [nginx, curl]\n    update_cache: true\n"
        "    cache_valid_time: 3600\n",
        returns={
            "cache_updated": "Whether the lists were fetched.",
            "cache_update_time": "When they were fetched last.",
            "stdout": "What apt said.",
            "stderr": "What it complained of.",
        },
    )

    def run(self, args: AptArgs, ctx: ActionContext) -> Result:
        """Change what differs; in check mode, say what would be changed."""
        return manage(args, ctx)


class PackageAction:
    """Installs and removes packages, whatever the host's package manager is called."""

    spec = ActionSpec(
        name="package",
        args=PackageArgs,
        summary="Install, upgrade or remove packages (of Debian and its kin).",
        example="- package:\n    name: curl\n    state: present\n",
        returns=AptAction.spec.returns,
    )

    def run(self, args: PackageArgs, ctx: ActionContext) -> Result:
        """As `apt`."""
        state = {"installed": "present", "removed": "absent"}.get(args.state, args.state)
        return manage(AptArgs.model_validate({"name": args.name, "state": state}), ctx)
