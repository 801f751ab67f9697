from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbops.nocobase.http import (
    Answer,
    Peer,
    ask_script,
    call_config,
    call_script,
    read_answer,
    read_answers,
)


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        self._answer(503 if "busy" in self.path else 200, self.path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        seen = {"body": json.loads(body), "token": self.headers.get("Authorization")}
        self._answer(200, json.dumps({"data": seen}))

    def _answer(self, status: int, text: str) -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def shell(script: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["dash", "-c", script], input=stdin, capture_output=True, check=False)
    assert done.stderr == b""
    return done.stdout


def test_many_addresses_are_asked_at_once_and_answer_in_order(base: str) -> None:
    urls = [f"{base}/a", f"{base}/busy", "http://127.0.0.1:1/refused", f"{base}/d[1]"]
    answers = read_answers(shell(ask_script(urls)).decode(), len(urls))
    assert answers == [Answer(200, "/a"), Answer(503, "/busy"), Answer(0), Answer(200, "/d[1]")]


def test_answers_that_did_not_come_are_none() -> None:
    assert read_answers("", 2) == [Answer(0), Answer(0)]
    assert read_answers("garbage\n7 aa\n", 1) == [Answer(0)]


def test_a_body_with_several_lines_keeps_them() -> None:
    assert read_answer(b"a\nb\n200") == Answer(200, "a\nb")


@settings(max_examples=25, deadline=None)
@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_any_password_arrives_as_it_is(base: str, password: str) -> None:
    config = call_config(f"{base}/x", headers={"Authorization": "Bearer t"}, body={"p": password})
    answer = read_answer(shell(call_script(), config))
    assert answer.data() == {"body": {"p": password}, "token": "Bearer t"}


def test_a_request_can_be_for_a_server_that_has_a_certain_key_and_nobody_else() -> None:
    text = call_config("https://noco.example/x", peer=Peer("198.18.0.3:443", "aGFzaA==")).decode()
    assert 'connect-to = "::198.18.0.3:443"\n' in text
    assert 'insecure\npinnedpubkey = "sha256//aGFzaA=="\n' in text


def test_without_a_key_the_certificate_is_judged_as_usual() -> None:
    assert "insecure" not in call_config("https://noco.example/x").decode()


@pytest.mark.parametrize(
    "line", ["0 QQ", "0 Q", "x QQ==", "² QQ==", "-1 QQ==", "9 QQ==", "0 \udcff"]
)
def test_answers_that_are_cut_or_no_text_are_none(line: str) -> None:
    assert read_answers(f"{line}\n", 1) == [Answer(0)]
