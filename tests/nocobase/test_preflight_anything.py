"""Whatever a host prints, findings are made of it and nothing breaks."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from nbops.nocobase.preflight_model import Level, Needs, read_look
from nbops.nocobase.preflight_shared import all_findings
from tests.nocobase.looks import good, node, situation

KEYS = [
    *("begin", "end", "uid", "os", "zone", "memory", "cores", "clock", "lock", "missing", "space"),
    *("port", "storage", "upgrading", "plugin", "configured", "docker", "compose", "image", "node"),
    *("registry", "app", "env", "has", "lacks", "serves", "reach", "redis", "database", "tool"),
]
WORDS = ["", "0", "1", "99", "-1", "ok", "error", "held", "rw", "ro", "storage", "the database"]
WORDS += ["nan", "inf", "13000", "{}", "[]", '{"data": 1}', "/app", "demo", "docker", "²", "1.2.3"]
row = st.tuples(
    st.sampled_from(KEYS), st.lists(st.sampled_from(WORDS) | st.text(max_size=9), max_size=7)
)


def needs() -> dict[str, Needs]:
    return {f"node{n}": node(f"node{n}", plugins=("@a/b",), processes=-1) for n in (1, 2, 3)}


@settings(max_examples=400, deadline=None)
@given(st.lists(row, max_size=25), st.booleans(), st.booleans())
def test_any_rows_give_findings(
    rows: list[tuple[str, list[str]]], whole: bool, adopt: bool
) -> None:
    kept = ["\t".join(one) for one in good(node("node2"))] if whole else []
    text = "\n".join([*kept, *("\t".join([key, *values]) for key, values in rows)])
    plain = situation(needs=needs(), adopt=adopt)
    spoilt = replace(plain, looks={**plain.looks, "node2": read_look(text, 100.0, 101.5)})
    for one in all_findings(spoilt):
        assert one.level in Level
        assert one.what
