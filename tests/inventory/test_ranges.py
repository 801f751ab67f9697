from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.inventory.ranges import MAX_HOSTS, expand


@pytest.mark.parametrize(
    ("text", "names", "port"),
    [
        ("node1", ["node1"], None),
        ("node-1.example.com", ["node-1.example.com"], None),
        ("node_1", ["node_1"], None),
        ("узел1", ["узел1"], None),
        ("node[1:3]", ["node1", "node2", "node3"], None),
        ("node[01:03]", ["node01", "node02", "node03"], None),
        ("node[08:11]", ["node08", "node09", "node10", "node11"], None),
        ("node[000:002]", ["node000", "node001", "node002"], None),
        ("node[:2]", ["node0", "node1", "node2"], None),
        ("node[0:10:5]", ["node0", "node5", "node10"], None),
        ("node[01:10:4]", ["node01", "node05", "node09"], None),
        ("node[3:3]", ["node3"], None),
        ("db-[a:c]", ["db-a", "db-b", "db-c"], None),
        ("db-[a:e:2]", ["db-a", "db-c", "db-e"], None),
        ("db-[y:B]", ["db-y", "db-z", "db-A", "db-B"], None),
        ("[a:b]x", ["ax", "bx"], None),
        ("r[1:2]n[a:b]", ["r1na", "r1nb", "r2na", "r2nb"], None),
        ("r[1:2].example.com", ["r1.example.com", "r2.example.com"], None),
        ("web:2222", ["web"], 2222),
        ("web[1:2]:2222", ["web1", "web2"], 2222),
        ("192.0.2.1", ["192.0.2.1"], None),
        ("192.0.2.1:22", ["192.0.2.1"], 22),
        ("192.0.2.[1:2]", ["192.0.2.1", "192.0.2.2"], None),
        ("2001:db8::1", ["2001:db8::1"], None),
        ("::1", ["::1"], None),
        ("fe80::1%eth0", ["fe80::1%eth0"], None),
        ("[2001:db8::1]:2022", ["2001:db8::1"], 2022),
    ],
)
def test_what_is_written_is_expanded(text: str, names: list[str], port: int | None) -> None:
    assert expand(text) == (names, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("node[3:1]", "backwards"),
        ("node[c:a]", "backwards"),
        ("node[1:]", "needs an end"),
        ("node[1]", "[first:last]"),
        ("node[]", "[first:last]"),
        ("node[1:2:3:4]", "[first:last]"),
        ("node[1:3:0]", "step"),
        ("node[1:3:-1]", "step"),
        ("node[1:3:x]", "step"),
        ("node[a:3]", "from number to number"),
        ("node[aa:cc]", "from number to number"),
        ("node[ä:ö]", "from number to number"),
        ("node[01:3]", "same number of digits"),
        ("node[1:3", "bracket"),
        ("node1:3]", "bracket"),
        ("node[1:99999999999]", "more than"),
        (f"node[1:{MAX_HOSTS + 1}]", "more than"),
        ("a[1:1000]b[1:1000]", "more than"),
        ("a[1:10000]b[1:10000]c[1:10000]", "more than"),
        ("web:0", "between 1 and 65535"),
        ("web:65536", "between 1 and 65535"),
        ("", "cannot be the name"),
        ("no de", "cannot be the name"),
        ("node!", "cannot be the name"),
        ("-node", "cannot be the name"),
        ("a,b", "cannot be the name"),
        ("../etc", "cannot be the name"),
        ("/chroot", "cannot be the name"),
        ("web:ssh", "cannot be the name"),
        ("a:b:c", "cannot be the name"),
        ("node\n", "cannot be the name"),
        ("[::1]", "needs an end"),
    ],
)
def test_what_is_not_meant_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("[", r"\[")):
        expand(text)


@given(st.integers(0, 300), st.integers(0, 60), st.integers(1, 9))
def test_a_range_counts_as_python_does(first: int, length: int, step: int) -> None:
    names, _ = expand(f"n[{first}:{first + length}:{step}]")
    assert names == [f"n{number}" for number in range(first, first + length + 1, step)]


@given(st.integers(0, 99), st.integers(0, 99))
def test_a_range_with_leading_zeros_keeps_its_width(one: int, other: int) -> None:
    first, last = sorted((one, other))
    names, _ = expand(f"n[{first:03}:{last:03}]")
    assert names == [f"n{number:03}" for number in range(first, last + 1)]


@given(st.text(alphabet=string.printable, max_size=30))
def test_any_text_is_either_expanded_or_refused(text: str) -> None:
    try:
        names, port = expand(text)
    except ValueError:
        return
    assert names
    assert len(set(names)) == len(names) or "[" in text
    assert all("[" not in name for name in names)
    assert port is None or 1 <= port <= 65535


@given(st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{1,5})?", fullmatch=True))
def test_a_plain_name_stands_for_itself(name: str) -> None:
    assert expand(name) == ([name], None)
