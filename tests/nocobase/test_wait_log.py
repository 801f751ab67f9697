from __future__ import annotations

import json

from nbops.base.secret import MASK, Masker
from nbops.nocobase.steps.wait import telling


def test_of_a_log_in_json_level_and_message_are_shown() -> None:
    line = json.dumps({"level": "error", "message": "it broke", "timestamp": "now"})
    assert telling([line]) == ["error: it broke"]


def test_what_is_said_again_is_shown_once() -> None:
    lines = [json.dumps({"level": "error", "message": "no", "reqId": n}) for n in range(3)]
    assert telling(lines) == ["error: no"]


def test_plain_lines_stay_but_empty_ones() -> None:
    assert telling(["a ", "", "[1]", "null"]) == ["a", "[1]", "null"]


def test_long_lines_are_shortened() -> None:
    assert len(telling(["x" * 10000])[0]) < 300


def test_a_shortened_line_shows_no_part_of_a_secret() -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    (line,) = telling([f"{'x' * 220}correct-horse-battery is no password"])
    assert masker.text(line) == f"{'x' * 220}{MASK}[…]"
