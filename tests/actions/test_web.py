"""`uri`, `get_url` and `wait_for` against a real server on loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nbops.actions.get_url import GetUrlAction, GetUrlArgs, file_name
from nbops.actions.uri import UriAction, UriArgs, config
from nbops.actions.wait_for import WaitForAction, WaitForArgs
from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from tests.actions.conftest import LocalContext, do
from tests.actions.echo import FILE, listening

URI, GET, WAIT = UriAction(), GetUrlAction(), WaitForAction()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with listening() as address:
        yield address


def asked(result: Any) -> dict[str, Any]:
    """What the server was asked."""
    found: dict[str, Any] = result.values["json"]
    return found


def test_an_answer_is_given_in_parts(ctx: LocalContext, server: str) -> None:
    result = do(URI, ctx, url=f"{server}/x?y=1", return_content=True)
    assert not result.changed
    assert (result.values["status"], asked(result)["path"]) == (200, "/x?y=1")
    assert result.values["cookies"] == {"a": "b"}
    assert result.values["content_type"] == "application/json"
    assert json.loads(result.values["content"]) == result.values["json"]
    assert (len(ctx.probes), len(ctx.acts)) == (1, 0)


def test_a_request_that_may_change_something_is_made_as_a_job(
    ctx: LocalContext, server: str
) -> None:
    result = do(URI, ctx, url=server, method="post", body={"a": [1]}, body_format="json")
    assert asked(result)["headers"]["content-type"] == "application/json"
    assert json.loads(base64.b64decode(asked(result)["body"])) == {"a": [1]}
    assert (len(ctx.probes), len(ctx.acts)) == (0, 1)


def test_another_status_fails_and_is_shown(ctx: LocalContext, server: str) -> None:
    result = do(URI, ctx, url=f"{server}/busy")
    assert result.failed
    assert result.msg.startswith("Status code was 503 and not [200]: HTTP Error 503")
    assert asked(result)["error"]["code"] == "APP_COMMANDING"
    assert not do(URI, ctx, url=f"{server}/busy", status_code="200,503").failed


def test_nothing_that_listens_is_status_minus_one(ctx: LocalContext) -> None:
    result = do(URI, ctx, url="http://127.0.0.1:9/")
    assert result.failed
    assert result.values["status"] == -1


def test_redirects_are_followed_as_asked(ctx: LocalContext, server: str) -> None:
    followed = do(URI, ctx, url=f"{server}/moved")
    assert (followed.values["redirected"], asked(followed)["path"]) == (True, "/there")
    stayed = do(URI, ctx, url=f"{server}/moved", follow_redirects=False, status_code=302)
    assert stayed.values["location"] == f"{server}/there"
    assert not do(URI, ctx, url=f"{server}/moved", method="POST", status_code=302).failed


def test_a_form_is_sent_as_browsers_send_it(ctx: LocalContext, server: str) -> None:
    result = do(URI, ctx, url=server, method="PUT", body={"a": "b c", "d": ["1", "2"]},
                body_format="form-urlencoded")  # fmt: skip
    assert parse_qs(base64.b64decode(asked(result)["body"]).decode()) == {
        "a": ["b c"],
        "d": ["1", "2"],
    }


def test_an_answer_in_another_encoding_is_read(ctx: LocalContext, server: str) -> None:
    assert do(URI, ctx, url=f"{server}/text", return_content=True).values["content"] == "grün"


def test_credentials_are_in_no_script_and_no_result(ctx: LocalContext, server: str) -> None:
    result = do(
        URI, ctx, url=server, url_username="me", url_password=Secret("s3cret:x"),
        headers={"X-Token": Secret("t0ken"), "X-Empty": ""}, method="POST",
        body={"account": "me", "password": Secret("w0rd")}, body_format="json",
    )  # fmt: skip
    headers = asked(result)["headers"]
    assert base64.b64decode(headers["authorization"].split()[1]) == b"me:s3cret:x"
    assert (headers["x-token"], headers["x-empty"]) == ("t0ken", "")
    assert b"w0rd" in base64.b64decode(asked(result)["body"])
    scripts = "".join(str(script) for script in ctx.acts + ctx.probes)
    assert all(word not in scripts for word in ("s3cret", "t0ken", "w0rd"))


def test_a_body_that_looks_like_a_file_name_is_sent_as_it_is(
    ctx: LocalContext, server: str
) -> None:
    result = do(URI, ctx, url=server, method="POST", body="@/etc/passwd")
    assert base64.b64decode(asked(result)["body"]) == b"@/etc/passwd"


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=TEXT.filter(bool))
def test_any_text_arrives_as_body(ctx: LocalContext, server: str, body: str) -> None:
    result = do(URI, ctx, url=server, method="POST", body=body)
    assert base64.b64decode(asked(result)["body"]).decode() == body


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "127.0.0.1", "http://a b", "http://x\nurl=file:///"]
)
def test_only_web_addresses_are_asked(url: str) -> None:
    with pytest.raises(ValidationError):
        UriArgs(url=url)


def test_a_header_cannot_smuggle_another(ctx: LocalContext, server: str) -> None:
    with pytest.raises(ActionFailed, match="line break"):
        do(URI, ctx, url=server, headers={"A": "b\r\nC: d"})


def test_every_value_stands_in_quotes() -> None:
    text = config(UriArgs(url='http://x/"\\', method='P"\n'))
    assert 'url = "http://x/\\"\\\\"\n' in text
    assert 'request = "P\\"\\n"\n' in text


def test_a_file_is_fetched_once(ctx: LocalContext, server: str, box: Path) -> None:
    dest = f"{box}/it's a file"
    first = do(GET, ctx, url=f"{server}/file", dest=dest, mode="0600")
    assert first.changed
    assert Path(dest).read_bytes() == FILE
    assert Path(dest).stat().st_mode & 0o777 == 0o600
    again = do(GET, ctx, url=f"{server}/file", dest=dest)
    assert (again.changed, again.values["status_code"]) == (False, 304)
    forced = do(GET, ctx, url=f"{server}/file", dest=dest, force=True)
    assert (forced.changed, forced.values["status_code"]) == (False, 200)
    assert [path.name for path in box.iterdir()] == ["it's a file"]


def test_a_wrong_checksum_leaves_what_was_there(ctx: LocalContext, server: str, box: Path) -> None:
    (box / "a").write_text("old")
    result = do(GET, ctx, url=f"{server}/file", dest=f"{box}/a", checksum="sha256:" + "0" * 64)
    assert result.failed
    assert "did not match" in result.msg
    assert (box / "a").read_text() == "old"
    assert [path.name for path in box.iterdir()] == ["a"]


def test_a_file_with_the_right_checksum_is_not_fetched(
    ctx: LocalContext, server: str, box: Path
) -> None:
    (box / "a").write_bytes(b"abc")
    result = do(
        GET, ctx, url=f"{server}/file", dest=f"{box}/a", mode="0600",
        checksum="md5:900150983cd24fb0d6963f7d28e17f72",
    )  # fmt: skip
    assert result.msg == "file already exists"
    assert result.changed
    assert (box / "a").stat().st_mode & 0o777 == 0o600


def test_check_mode_fetches_to_nowhere(ctx: LocalContext, server: str, box: Path) -> None:
    ctx.check = True
    assert do(GET, ctx, url=f"{server}/file", dest=f"{box}/").changed
    assert list(box.iterdir()) == []


def test_an_error_of_the_server_is_no_file(ctx: LocalContext, server: str, box: Path) -> None:
    result = do(GET, ctx, url=f"{server}/busy", dest=f"{box}/a")
    assert result.failed
    assert result.values["status_code"] == 503
    assert list(box.iterdir()) == []


def test_a_checksum_names_its_kind() -> None:
    with pytest.raises(ValidationError):
        GetUrlArgs(url="http://x/", dest="/x", checksum="http://x/SHA256SUMS")


@pytest.mark.parametrize(
    ("url", "name"),
    [("http://x/a/b%20c.tgz?d=e/f", "b c.tgz"), ("http://x", "index.html")],
)
def test_a_file_gets_the_name_of_its_address(url: str, name: str) -> None:
    assert file_name(url) == name


def test_a_port_that_answers_ends_the_waiting_at_once(ctx: LocalContext, server: str) -> None:
    port = int(server.rpartition(":")[2])
    result = do(WAIT, ctx, port=port)
    assert (result.failed, result.values["elapsed"]) == (False, 0)
    assert len(ctx.probes) == 1


def test_a_port_that_does_not_answer_ends_it_at_the_deadline(ctx: LocalContext) -> None:
    result = do(WAIT, ctx, port=9, timeout=1, msg="no port")
    assert (result.failed, result.values["msg"]) == (True, "no port")
    assert result.values["elapsed"] in {1, 2}


def test_a_file_that_comes_later_is_seen(ctx: LocalContext, box: Path) -> None:
    timer = threading.Timer(0.5, (box / "it's there").touch)
    timer.start()
    result = do(WAIT, ctx, path=f"{box}/it's there", timeout=10)
    timer.join()
    assert not result.failed
    assert result.values["state"] == "file"


def test_a_pattern_gives_its_groups(ctx: LocalContext, box: Path) -> None:
    (box / "log").write_text("x\nready in 5 s\n")
    result = do(WAIT, ctx, path=f"{box}/log", search_regex=r"^ready in (?P<time>\d+)")
    assert result.values["match_groups"] == ["5"]
    assert result.values["match_groupdict"] == {"time": "5"}


@pytest.mark.parametrize(
    "arguments",
    [{"port": 1, "path": "/x"}, {"port": 0}, {"search_regex": "("}, {"state": "drained"}],
)
def test_a_wait_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WaitForArgs.model_validate(arguments)
