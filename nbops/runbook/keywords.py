"""The keywords of plays, blocks and tasks: one table for the loader, the schema, the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Where(StrEnum):
    """What a keyword stands on."""

    PLAY = "play"
    BLOCK = "block"
    TASK = "task"
    HANDLER = "handler"
    IMPORT = "import_playbook"


class Kind(StrEnum):
    """What a keyword's value is. All but the last group may be templates."""

    BOOL = "true or false"
    INT = "whole number"
    NUMBER = "number"
    TEXT = "text"
    ANY = "any value"
    MAP = "mapping"
    LOOP = "list"
    HOSTS = "host pattern, or a list of them"
    SERIAL = "number, percentage, or a list of them"
    ENVIRONMENT = "mapping, or a list of them"
    TEXTS = "text, or a list of them"
    ARGS = "mapping of arguments"
    VARS = "mapping of variables"
    CONDITIONS = "condition, or a list of them"
    TAGS = "tag, or a list of them"
    NAME = "name of a variable"
    WORD = "word"
    LITERAL_BOOL = "true or false, written out"
    ORDER = "order"
    NODES = "list of tasks"
    LOOP_CONTROL = "mapping for the loop"
    RETRY = "mapping for retries"


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword: where it may stand, what its value is, what it does."""

    name: str
    where: frozenset[Where]
    kind: Kind
    doc: str
    ours: bool = False


ORDERS = ("inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle")

_P = frozenset({Where.PLAY})
_T = frozenset({Where.TASK, Where.HANDLER})
_B = frozenset({Where.BLOCK})
_H = frozenset({Where.HANDLER})
_BT = _B | _T
_PBT = _P | _BT
_ALL = _PBT | {Where.IMPORT}

_TABLE = (
    Keyword("name", _ALL, Kind.TEXT, "What it is called in the output."),
    Keyword("hosts", _P, Kind.HOSTS, "The hosts of the play: a pattern as in Ansible."),
    Keyword("serial", _P, Kind.SERIAL, "How many hosts at a time: the play runs batch by batch."),
    Keyword(
        "order",
        _P,
        Kind.ORDER,
        "The order of the hosts: " + ", ".join(f"`{order}`" for order in ORDERS) + ".",
    ),
    Keyword("gather_facts", _P, Kind.BOOL, "Gather facts of the hosts before the first task."),
    Keyword(
        "max_fail_percentage",
        _P,
        Kind.NUMBER,
        "End the play when more than this share of a batch has failed.",
    ),
    Keyword("force_handlers", _P, Kind.BOOL, "Run notified handlers also on hosts that failed."),
    Keyword("vars_files", _P, Kind.TEXTS, "YAML files of variables, beside the runbook."),
    Keyword("pre_tasks", _P, Kind.NODES, "Tasks before the others; their handlers run after them."),
    Keyword("tasks", _P, Kind.NODES, "The tasks of the play, in order."),
    Keyword("post_tasks", _P, Kind.NODES, "Tasks after the others and their handlers."),
    Keyword("handlers", _P, Kind.NODES, "Tasks that run once, at the end, when notified."),
    Keyword("block", _B, Kind.NODES, "Tasks that share keywords, `rescue` and `always`."),
    Keyword("rescue", _B, Kind.NODES, "Tasks that run when one of the block failed on a host."),
    Keyword("always", _B, Kind.NODES, "Tasks that run after the block, whatever came of it."),
    Keyword(
        "rollback",
        _BT,
        Kind.NODES,
        "The tasks that undo it, run in reverse order when the run fails or is aborted. They "
        "must be repeatable without harm.",
        ours=True,
    ),
    Keyword(
        "rescue_unreachable",
        _B,
        Kind.LITERAL_BOOL,
        "A host that cannot be reached any more is rescued like a failed one. What the lost task"
        " may still do there is ended before the next one begins.",
        ours=True,
    ),
    Keyword(
        "phase",
        _PBT,
        Kind.WORD,
        "The part of the run that this belongs to (`prepare`, `verify`…): shown and timed.",
        ours=True,
    ),
    Keyword(
        "when",
        _BT | {Where.IMPORT},
        Kind.CONDITIONS,
        "Run only where all of these conditions hold; expressions without braces.",
    ),
    Keyword("vars", _ALL, Kind.VARS, "Variables for what is within."),
    Keyword("environment", _PBT, Kind.ENVIRONMENT, "Environment variables of the commands."),
    Keyword("tags", _ALL, Kind.TAGS, "Words to select by with `--tags` and `--skip-tags`."),
    Keyword("become", _PBT, Kind.BOOL, "Act as another user (root, unless `become_user`)."),
    Keyword("become_user", _PBT, Kind.TEXT, "The user to act as."),
    Keyword("become_method", _PBT, Kind.TEXT, "How to become that user: `sudo` or `su`."),
    Keyword("check_mode", _PBT, Kind.BOOL, "Only say what would change (or, false: always act)."),
    Keyword("diff", _PBT, Kind.BOOL, "Show differences of files."),
    Keyword("no_log", _PBT, Kind.BOOL, "Keep arguments and results out of every output."),
    Keyword("run_once", _PBT, Kind.BOOL, "Run on the first host only; the result holds for all."),
    Keyword("timeout", _PBT, Kind.NUMBER, "Deadline of the task in seconds."),
    Keyword("ignore_errors", _PBT, Kind.BOOL, "Go on after a failure."),
    Keyword("ignore_unreachable", _PBT, Kind.BOOL, "Go on with a host that could not be reached."),
    Keyword(
        "any_errors_fatal",
        _PBT,
        Kind.BOOL,
        "A failure on one host ends the play for all. When a host is unreachable, later plays go on"
        " with other hosts, unless `max_fail_percentage: 0` stands beside it.",
    ),
    Keyword("delegate_to", _BT, Kind.TEXT, "Act on this host instead."),
    Keyword("delegate_facts", _BT, Kind.BOOL, "Facts belong to the delegate."),
    Keyword("notify", _BT, Kind.TEXTS, "Handlers to run when it changed something."),
    Keyword("listen", _H, Kind.TEXTS, "Further words that notify this handler."),
    Keyword("args", _T, Kind.ARGS, "Arguments of the action, beside or instead of its text."),
    Keyword("action", _T, Kind.ANY, "The action and its arguments as one text (old form)."),
    Keyword("local_action", _T, Kind.ANY, "As `action`, on this machine (old form)."),
    Keyword("loop", _T, Kind.LOOP, "Run once for each item of this list."),
    Keyword("loop_control", _T, Kind.LOOP_CONTROL, "How the loop names, labels and paces items."),
    Keyword("register", _T, Kind.NAME, "Keep the result in this variable."),
    Keyword("until", _T, Kind.CONDITIONS, "Run again until these conditions hold."),
    Keyword("retries", _T, Kind.INT, "How often to try again at most (with `until`; 3)."),
    Keyword("delay", _T, Kind.NUMBER, "Seconds between two tries (5)."),
    Keyword(
        "retry",
        _T,
        Kind.RETRY,
        "Try again on failure, or until `until` holds: `attempts`, `backoff` (`fixed`, "
        "`exponential`), `delay`, `max_delay`, `jitter`, `deadline`; times in seconds.",
        ours=True,
    ),
    Keyword("changed_when", _T, Kind.CONDITIONS, "It changed something when these hold."),
    Keyword("failed_when", _T, Kind.CONDITIONS, "It failed when these hold."),
    Keyword(
        "import_playbook",
        frozenset({Where.IMPORT}),
        Kind.TEXT,
        "Put the plays of another runbook here.",
    ),
)

KEYWORDS: Mapping[str, Keyword] = {keyword.name: keyword for keyword in _TABLE}

# Keywords of text that take only these words.
CHOICES: Mapping[str, tuple[str, ...]] = {"become_method": ("sudo", "su")}

LOOP_CONTROL: Mapping[str, str] = {
    "loop_var": "Name of the item's variable (`item`).",
    "index_var": "Name of a variable for the item's number, from 0.",
    "label": "What to show of the item.",
    "pause": "Seconds between two items.",
    "extended": "Give `ansible_loop` with `index`, `first`, `last`, `length`….",
    "extended_allitems": "Have all items in it too, as `ansible_loop.allitems` (true).",
}
RETRY: Mapping[str, str] = {
    "attempts": "Number of tries, the first one counted (3).",
    "backoff": "`fixed` or `exponential`.",
    "delay": "Seconds before the second try (5).",
    "max_delay": "The longest wait in seconds (60).",
    "jitter": "Up to so many seconds are added at random (0).",
    "deadline": "Seconds after which no further try is made.",
}

# Ansible's keywords that nbops does not have, and what to do instead.
REFUSED: Mapping[str, str] = {
    "strategy": "plays run task by task on all hosts (`linear`): leave it out",
    "async": "every command runs as a job with a deadline anyway: use `timeout`",
    "poll": "every command runs as a job with a deadline anyway: use `timeout`",
    "roles": "put the tasks into a file and use `import_tasks`",
    "collections": "only the actions of `nbops actions` are there",
    "module_defaults": "write the arguments at each task",
    "throttle": "use `serial` on the play, or `--forks`",
    "debugger": "use the `debug` action",
    "connection": "set `ansible_connection` in the inventory, or use `delegate_to: localhost`",
    "port": "set `ansible_port` in the inventory",
    "remote_user": "set `ansible_user` in the inventory",
    "vars_prompt": "give the value with `-e KEY=VALUE` or in the inventory",
    "gather_subset": "nbops gathers all of its few facts at once: leave it out",
    "gather_timeout": "use `timeout` on a `setup` task",
    "fact_path": "nbops reads no facts from files of the host: use `slurp`",
    "become_flags": "nbops knows `become`, `become_user` and `become_method`",
    "become_exe": "nbops knows `become`, `become_user` and `become_method`",
    "sudo": "use `become: true`",
    "sudo_user": "use `become_user`",
    "include": "use `include_tasks` or `import_tasks`",
    "include_role": "put the tasks into a file and use `include_tasks`",
    "import_role": "put the tasks into a file and use `import_tasks`",
    "include_vars": "use `vars_files` on the play",
    "validate_argspec": "check with `assert`",
    "break_when": "choose the items before the loop: `loop: \"{{ LIST | select('…') | list }}\"`",
    "with_items": 'write `loop: "{{ LIST | flatten(1) }}"`, or just `loop: LIST`',
    "with_list": "write `loop: LIST`",
    "with_flattened": 'write `loop: "{{ LIST | flatten }}"`',
    "with_dict": 'write `loop: "{{ DICT | dict2items }}"`',
    "with_indexed_items": "write `loop:` with `loop_control: {index_var: NAME}`",
    "with_together": 'write `loop: "{{ A | zip(B) | list }}"`',
    "with_nested": 'write `loop: "{{ A | product(B) | list }}"`',
    "with_subelements": "write `loop: \"{{ LIST | subelements('KEY') }}\"`",
    "with_sequence": 'write `loop: "{{ range(1, 5) | list }}"`',
}


def names(where: Where) -> list[str]:
    """The keywords that may stand there."""
    return [keyword.name for keyword in _TABLE if where in keyword.where]


def refusal(name: str) -> str | None:
    """What to do instead of a keyword of Ansible that nbops does not have; None for others."""
    if name in REFUSED:
        return REFUSED[name]
    if name.startswith("with_"):
        return "write `loop:` with the list that it would give"
    return None
