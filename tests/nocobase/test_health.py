from __future__ import annotations

import json

import pytest

from nbops.base.secret import Masker
from nbops.nocobase.health import Health, advice, app_error, read_health, read_version


def answer(code: str, message: str = "") -> str:
    return json.dumps({"error": {"status": 503, "code": code, "message": message}})


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (0, "", Health.SILENT),
        (200, "ok", Health.UP),
        (503, answer("APP_COMMANDING", "load plugin [ai], 49/77"), Health.STARTING),
        (503, answer("APP_NOT_INSTALLED_ERROR"), Health.NOT_INSTALLED),
        (503, answer("APP_ERROR", "Unable to connect to the database"), Health.BROKEN),
        (503, '{"error": {"maintaining": true, "code": "APP_NEW"}}', Health.STARTING),
        (502, "<html>Bad Gateway</html>", Health.STRANGE),
        (503, "[1, 2]", Health.STRANGE),
        (503, '{"error": null}', Health.STRANGE),
        (404, "", Health.STRANGE),
    ],
)
def test_every_answer_means_one_state(status: int, body: str, state: Health) -> None:
    assert read_health(status, body).state is state


def test_the_apps_own_words_are_kept_in_one_line() -> None:
    report = read_health(503, answer("APP_COMMANDING", "load plugin\n [ai], 49/77"))
    assert str(report) == "load plugin [ai], 49/77"


def test_a_state_without_words_names_itself() -> None:
    assert str(read_health(0, "")) == "nothing listens yet"


def test_starting_may_take_as_long_as_it_needs() -> None:
    assert read_health(503, answer("APP_COMMANDING")).patience is None


@pytest.mark.parametrize("code", ["APP_ERROR", "APP_NOT_INSTALLED_ERROR"])
def test_a_broken_app_is_not_waited_for_for_ever(code: str) -> None:
    assert read_health(503, answer(code)).patience


def test_the_version_is_read() -> None:
    assert read_version('{"data": {"version": "2.2.15"}}') == "2.2.15"


@pytest.mark.parametrize("body", ["", "no", "[]", '{"data": []}', '{"data": {}}', "null"])
def test_no_version_is_none(body: str) -> None:
    assert read_version(body) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"errors": [{"message": "Wrong password"}]}', "Wrong password"),
        ('{"error": {"message": "Away"}}', "Away"),
        ('{"errors": []}', ""),
        ("<html>", ""),
    ],
)
def test_the_first_error_of_an_answer_is_its_word(body: str, message: str) -> None:
    assert app_error(body) == message


def test_a_long_error_shows_no_part_of_a_secret() -> None:
    masker = Masker()
    masker.learn("correct-horse-battery")
    message = f"{'x' * 180} correct-horse-battery is wrong"
    body = json.dumps({"errors": [{"message": message}]})
    assert "corr" not in masker.text(app_error(body))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('Lock adapter "redis" not registered', "plugins.package_service"),
        ("Unable to connect to the database: ECONNREFUSED", "`database:`"),
        ("(no: 1020) Record has changed since last read in table 'aiSkills'", "MariaDB"),
        ("something else", ""),
    ],
)
def test_a_known_trouble_comes_with_what_to_do(message: str, words: str) -> None:
    assert words in advice(message)
    assert bool(words) == bool(advice(message))
