import base64
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbops.transport.hostkeys import KnownHosts, Verdict, add, fingerprint, parse
from tests.sshd import make_key

KIND = "ssh-ed25519"
KEY, OTHER = b"one key", b"another key"


def _line(hosts: str, key: bytes = KEY, marker: str = "", kind: str = KIND) -> str:
    return f"{marker} {hosts} {kind} {base64.b64encode(key).decode()} a comment\n".lstrip()


def _judge(text: str, host: str = "h", port: int = 22, key: bytes = KEY) -> Verdict:
    return KnownHosts(parse(text)).judge(host, port, KIND, key).verdict


@pytest.mark.parametrize(
    ("hosts", "host", "port"),
    [
        ("h", "h", 22),
        ("other,h", "h", 22),
        ("H.Example", "h.example", 22),
        ("[h]:2222", "h", 2222),
        ("h", "h", 2222),
        ("*.example", "a.example", 22),
        ("h?", "h1", 22),
        ("[127.1.0.*]:2222", "127.1.0.7", 2222),
        ("::1", "::1", 22),
        ("[::1]:2222", "::1", 2222),
    ],
)
def test_a_host_is_found_under_its_names(hosts: str, host: str, port: int) -> None:
    assert _judge(_line(hosts), host, port) is Verdict.KNOWN


@pytest.mark.parametrize(
    ("hosts", "host", "port"),
    [("other", "h", 22), ("[h]:2222", "h", 22), ("*.example,!a.example", "a.example", 22)],
)
def test_other_names_are_unknown(hosts: str, host: str, port: int) -> None:
    assert _judge(_line(hosts), host, port) is Verdict.UNKNOWN


def test_another_key_than_the_known_one_is_a_changed_one() -> None:
    assert _judge(_line("h"), key=OTHER) is Verdict.CHANGED


def test_another_kind_of_key_than_the_known_ones_is_a_changed_one() -> None:
    assert _judge(_line("h", kind="ssh-rsa")) is Verdict.CHANGED


def test_one_of_several_known_keys_is_enough() -> None:
    assert _judge(_line("h", OTHER) + _line("h")) is Verdict.KNOWN


def test_a_revoked_key_is_refused_even_when_it_is_known() -> None:
    text = _line("h") + _line("*", marker="@revoked")
    assert _judge(text) is Verdict.REVOKED
    assert _judge(text + _line("h", OTHER), key=OTHER) is Verdict.KNOWN


def test_the_plain_name_counts_only_where_that_with_the_port_is_not_known() -> None:
    both = _line("[h]:2222") + _line("h", OTHER)
    assert _judge(both, port=2222, key=OTHER) is Verdict.CHANGED
    assert _judge(both, port=2222) is Verdict.KNOWN
    assert _judge(both, port=2223, key=OTHER) is Verdict.KNOWN
    assert _judge(both, port=2223) is Verdict.UNKNOWN


@pytest.mark.parametrize("known", ["h", "[h]:2222"])
def test_a_key_that_is_revoked_for_the_plain_name_is_so_on_every_port(known: str) -> None:
    assert _judge(_line("h", marker="@revoked") + _line(known), port=2222) is Verdict.REVOKED


def test_a_certificate_authority_is_no_host_key() -> None:
    judged = KnownHosts(parse(_line("h", marker="@cert-authority"))).judge("h", 22, KIND, KEY)
    assert judged.verdict is Verdict.UNKNOWN
    assert judged.entries


def test_lines_that_cannot_be_read_are_passed_over() -> None:
    text = "# comment\n\nshort\nh ssh-ed25519 !!!\n@strange h ssh-ed25519 QQ==\n"
    assert parse(text) == []
    assert _judge(text + _line("h")) is Verdict.KNOWN


def test_the_kinds_of_the_known_keys_are_told() -> None:
    text = _line("h") + _line("h", kind="ssh-rsa") + _line("x", kind="ecdsa-sha2-nistp256")
    assert KnownHosts(parse(text)).kinds("h", 22) == (KIND, "ssh-rsa")


def test_hashed_names_and_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key").with_suffix(".pub").read_text().split()[1]
    file = tmp_path / "known_hosts"
    file.write_text(f"[h.example]:2222 {KIND} {key}\nplain {KIND} {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "h.example" not in file.read_text()
    known, blob = KnownHosts.load([file]), base64.b64decode(key)
    assert known.judge("h.example", 2222, KIND, blob).verdict is Verdict.KNOWN
    assert known.judge("plain", 22, KIND, blob).verdict is Verdict.KNOWN
    assert known.judge("h.example", 22, KIND, blob).verdict is Verdict.UNKNOWN
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(tmp_path / "key.pub")], check=True, capture_output=True, text=True
    )
    assert fingerprint(blob) in shown.stdout


def test_an_added_key_is_known_and_the_file_keeps_its_lines_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(_line("x").rstrip("\n"))
    file.chmod(0o640)
    add(file, "H", 2222, KIND, KEY)
    assert file.read_text().startswith(_line("x"))
    assert KnownHosts.load([file]).judge("h", 2222, KIND, KEY).verdict is Verdict.KNOWN
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_key_is_added_where_there_was_no_file(tmp_path: Path) -> None:
    file = tmp_path / "ssh" / "known_hosts"
    add(file, "h", 22, KIND, KEY)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_keys_added_at_once_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda n: add(file, f"h{n}", 22, KIND, KEY), range(40)))
    assert len(file.read_text().splitlines()) == 40
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    file.touch()
    link.symlink_to(file)
    add(link, "h", 22, KIND, KEY)
    assert link.is_symlink()
    assert file.read_text()
