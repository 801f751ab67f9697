from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nbops.transport.framing import Scanner, new_mark

MARK = "Nabc123"


def _cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@given(payload=st.binary(), places=st.lists(st.integers(0, 500), max_size=20), rest=st.binary())
def test_any_output_comes_through_however_it_is_cut(
    payload: bytes, places: list[int], rest: bytes
) -> None:
    scanner = Scanner(MARK)
    pieces = _cut(payload + MARK.encode() + b" ended 7\n" + rest, places)
    got = b"".join(scanner.feed(piece) for piece in pieces)
    assert got == payload
    assert scanner.words == "ended 7"
    assert scanner.rest == rest


@given(pieces=st.lists(st.sampled_from([b"N", b"Na", b"Nabc", b"Nabc12", b"abc123", b"\n"])))
def test_beginnings_of_a_mark_are_output_when_it_does_not_go_on(pieces: list[bytes]) -> None:
    scanner = Scanner("Nabc1234")
    text = b"".join(pieces)
    got = b"".join(scanner.feed(piece) for piece in pieces)
    got += scanner.feed(b"Nabc1234\n")
    assert got == text
    assert scanner.done


def test_nothing_that_may_be_a_mark_is_given_away_early() -> None:
    scanner = Scanner(MARK)
    assert scanner.feed(b"outNabc") == b"out"
    assert scanner.feed(b"123 ended") == b""
    assert not scanner.done
    assert scanner.feed(b" 0\n") == b""
    assert scanner.words == "ended 0"


def test_no_two_marks_are_alike() -> None:
    assert len({new_mark() for _ in range(100)}) == 100
