"""Words that are no action of nbops: modules of Ansible, modules of collections, misspellings."""

from __future__ import annotations

from collections.abc import Mapping

from nbops.base.errors import Place
from nbops.base.yamlpos import did_you_mean
from nbops.runbook import keywords
from nbops.runbook.keywords import Where
from nbops.runbook.reading import Source

# Modules of ansible.builtin that nbops does not have, and the way to the same end.
MODULES: Mapping[str, str] = {
    "add_host": "write the host into the inventory",
    "apt_key": "put the key with `get_url` or `copy` into /etc/apt/keyrings",
    "apt_repository": "write the file in /etc/apt/sources.list.d with `copy`",
    "assemble": "use `template`",
    "async_status": "every command runs as a job with a deadline anyway: use `timeout`",
    "blockinfile": "use `template`, or `lineinfile` for single lines",
    "cron": "write a file in /etc/cron.d with `copy`",
    "deb822_repository": "write the file in /etc/apt/sources.list.d with `copy`",
    "debconf": "use `command: debconf-set-selections`",
    "dnf": "use `package`",
    "expect": "use `command` with `stdin`",
    "find": "use `command: find …` with `changed_when: false`",
    "gather_facts": "use `setup`",
    "getent": "use `command: getent …` with `changed_when: false`",
    "git": "use `command: git …` with `creates`",
    "group": "use `command: groupadd …` with `creates`, or `user`",
    "group_by": "write the group into the inventory",
    "hostname": "use `command: hostnamectl set-hostname …`",
    "import_role": "put the tasks into a file and use `import_tasks`",
    "include_role": "put the tasks into a file and use `include_tasks`",
    "iptables": "use `command: iptables …`",
    "known_hosts": "use `lineinfile`",
    "mount_facts": "use `command: findmnt` with `changed_when: false`",
    "package_facts": "use `command: dpkg-query -W` with `changed_when: false`",
    "pip": "use `command: pip install …` with `creates`",
    "reboot": "use `command: systemctl reboot`, then `wait_for_connection`",
    "replace": "use `lineinfile` or `template`",
    "rpm_key": "use `command: rpm --import …`",
    "service_facts": "use `command: systemctl list-units` with `changed_when: false`",
    "set_stats": "use `set_fact`",
    "subversion": "use `command: svn …`",
    "systemd_service": "use `systemd`",
    "sysvinit": "use `service`",
    "tempfile": "use `command: mktemp`",
    "unarchive": "copy the archive, then `command: tar …` with `creates`",
    "validate_argument_spec": "use `assert`",
    "yum": "use `package`",
    "yum_repository": "write the file in /etc/yum.repos.d with `copy`",
}

_HERE = "it looks at this machine, not at the host: use the `stat` action"
_CHANCE = "a resumed run would see another value: write the value, or make it on the host"
# Filters and tests of Ansible that nbops does not have.
FILTERS: Mapping[str, str] = {
    "comment": "write the sign at the line: `text | regex_replace('(?m)^', '# ')`",
    "expanduser": _HERE,
    "expandvars": "use `lookup('env', NAME)`",
    "fileglob": _HERE,
    "ipaddr": "write the address into the inventory",
    "json_query": "use `selectattr` and `map(attribute=…)`",
    "password_hash": "make the hash beforehand and keep it with the secrets",
    "random": _CHANCE,
    "realpath": _HERE,
    "shuffle": _CHANCE,
    "unvault": "use {file: PATH} for secrets",
    "vault": "use {file: PATH} for secrets",
    "win_basename": "hosts are POSIX systems: use `basename`",
    "win_dirname": "hosts are POSIX systems: use `dirname`",
}
TESTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("directory", "exists", "file", "is_dir", "is_file", "is_link", "link", "link_exists"),
        _HERE,
    ),
    **dict.fromkeys(("is_mount", "is_same_file", "mount", "same_file"), _HERE),
    **dict.fromkeys(("finished", "started", "timedout"), "there is no `async`: look at `failed`"),
    **dict.fromkeys(("vault_encrypted", "vaulted_file"), "use {file: PATH} for secrets"),
}


def note(name: str, place: Place | None, where: Where, source: Source) -> None:
    """Note that `name` is neither keyword nor action, as helpfully as can be."""
    plain = name.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
    actions = [spec.name for spec in source.reading.catalog] + ["import_tasks"]
    if plain in MODULES:
        source.add(f"`{plain}` of Ansible is not supported", place, MODULES[plain])
    elif "." in plain:
        last = plain.rsplit(".", 1)[-1]
        same = f"nbops has `{last}` of its own" if last in actions else "see `nbops actions`"
        source.add(f"`{name}` belongs to a collection of Ansible: not supported", place, same)
    else:
        hint = did_you_mean(plain, [*keywords.names(where), *actions]) or "see `nbops actions`"
        source.add(f"`{name}` is neither a keyword of a {where.value} nor an action", place, hint)
