from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.inventory.sshargs import Jump, SshOptions, parse_ssh_args

HOME = Path("~").expanduser()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", SshOptions()),
        ("-o ProxyJump=b", SshOptions(jumps=(Jump("b"),))),
        ("-oProxyJump=op@b:2222", SshOptions(jumps=(Jump("b", 2222, "op"),))),
        ("-o 'ProxyJump b'", SshOptions(jumps=(Jump("b"),))),
        ("-o 'ProxyJump = b'", SshOptions(jumps=(Jump("b"),))),
        ("-o proxyjump=b", SshOptions(jumps=(Jump("b"),))),
        ("-o ProxyJump=none", SshOptions(jumps=())),
        ("-J a,op@b:22,c", SshOptions(jumps=(Jump("a"), Jump("b", 22, "op"), Jump("c")))),
        ("-Ja", SshOptions(jumps=(Jump("a"),))),
        ("-J ssh://op@b:22", SshOptions(jumps=(Jump("b", 22, "op"),))),
        ("-J [2001:db8::1]:22", SshOptions(jumps=(Jump("2001:db8::1", 22),))),
        ("-J 2001:db8::1", SshOptions(jumps=(Jump("2001:db8::1"),))),
        ("-J me@corp@b", SshOptions(jumps=(Jump("b", None, "me@corp"),))),
        ("-J a -o ProxyJump=b", SshOptions(jumps=(Jump("a"),))),
        ("-o UserKnownHostsFile=/k", SshOptions(known_hosts=(Path("/k"),))),
        ("-o UserKnownHostsFile=~/k", SshOptions(known_hosts=(HOME / "k",))),
        ("-o 'UserKnownHostsFile=/a /b'", SshOptions(known_hosts=(Path("/a"), Path("/b")))),
        ("-o 'UserKnownHostsFile=\"/a b\"'", SshOptions(known_hosts=(Path("/a b"),))),
        ("-o 'ProxyJump=\"b\"'", SshOptions(jumps=(Jump("b"),))),
        ("-o StrictHostKeyChecking=yes", SshOptions(host_keys="strict")),
        ("-o StrictHostKeyChecking=ask", SshOptions(host_keys="strict")),
        ("-o StrictHostKeyChecking=accept-new", SshOptions(host_keys="accept-new")),
        ("-p 2222", SshOptions(port=2222)),
        ("-p2222", SshOptions(port=2222)),
        ("-o Port=2222 -p 1", SshOptions(port=2222)),
        ("-l ops", SshOptions(user="ops")),
        ("-o User=ops", SshOptions(user="ops")),
        ("-i ~/key -i /other", SshOptions(key_files=(HOME / "key", Path("/other")))),
        ("-o IdentityFile=key", SshOptions(key_files=(Path("key"),))),
        ("-o HostName=10.0.0.1", SshOptions(hostname="10.0.0.1")),
        ("-o ConnectTimeout=7", SshOptions(connect_timeout=7.0)),
        ("-o ServerAliveInterval=30", SshOptions(keepalive=30.0)),
        ("-F /cfg", SshOptions(config=Path("/cfg"))),
        ("-F none", SshOptions(config=Path("/dev/null"))),
        ("-q -v -vvv -C -A -T -x", SshOptions()),
        ("-C -o ControlMaster=auto -o ControlPersist=60s -o LogLevel=ERROR", SshOptions()),
        ("-o IdentitiesOnly=yes -o PreferredAuthentications=publickey", SshOptions()),
    ],
)
def test_what_nbops_can_do_is_taken_over(text: str, expected: SshOptions) -> None:
    assert parse_ssh_args(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("-o StrictHostKeyChecking=no", "`no` is refused", "known_hosts"),
        ("-o StrictHostKeyChecking=off", "`off` is refused", "accept-new"),
        ("-o UserKnownHostsFile=/dev/null", "would know no host", "known_hosts"),
        ("-o UserKnownHostsFile=%d/k", "tokens", ""),
        ("-o HostKeyAlias=x", "`HostKeyAlias` is not supported", "known_hosts"),
        ("-o ProxyCommand='ssh -W %h:%p b'", "`ProxyCommand` is not supported", "ProxyJump"),
        ("-o Include=/x", "`Include` is not supported", "-F FILE"),
        ("-o ProxyJmp=x", "`ProxyJmp` is not supported", "`ProxyJump`"),
        ("-o BindAddress=1.2.3.4", "`BindAddress` is not supported", ""),
        ("-b 1.2.3.4", "`-b` is not supported", ""),
        ("-W x:1", "`-W` is not supported", ""),
        ("-L 1:x:1 -q", "`-L` is not supported", ""),
        ("-4", "`-4` is not supported", ""),
        ("-J", "`-J` lacks its value", ""),
        ("-o", "`-o` lacks its value", ""),
        ("-o ProxyJump", "lacks its value", ""),
        ("-p 0", "between 1 and 65535", ""),
        ("-p x", "not a port", ""),
        ("-J b:99999", "between 1 and 65535", ""),
        ("-J -oProxyCommand=x", "is not [USER@]HOST[:PORT]", ""),
        ("-J %h", "is not [USER@]HOST[:PORT]", ""),
        ("-o ConnectTimeout=soon", "number of seconds", ""),
        ("-o 'UserKnownHostsFile=\"/a'", "No closing quotation", ""),
        ("-o 'open", "No closing quotation", "quotation"),
        ("words", "`words`", ""),
    ],
)
def test_the_rest_is_refused_by_name(text: str, message: str, hint: str) -> None:
    options = parse_ssh_args(text)
    ((said, help_text),) = options.wrong
    assert message in said
    assert hint in (help_text or "")


def test_everything_wrong_is_told() -> None:
    options = parse_ssh_args("-o A=1 -J b -o B=2 -b x")
    assert len(options.wrong) == 3
    assert options.jumps == (Jump("b"),)


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    parse_ssh_args(text)


@given(st.lists(st.sampled_from(["-o", "-J", "-F", "-p", "x=y", "ProxyJump=a", "-i", "%h", "@"])))
def test_any_words_are_read_without_an_exception(words: list[str]) -> None:
    parse_ssh_args(" ".join(words))
