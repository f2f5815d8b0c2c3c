"""What ssh says while it logs in, and what a person is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.link.again import Dropped
from fleet.control.link.hostkeys import fingerprint
from fleet.control.link.openssh.argv import key_argv, master_argv
from fleet.control.link.openssh.mux import exit_status
from fleet.control.link.openssh.words import Login, Said, failure, heard, late, wrong_key
from fleet.control.link.protocol import Target
from fleet.errors import AuthError, HostKeyError, Unreachable, UsageError

PIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOA/f3rE1hW5Ypo473Oi5srB30BH6nM6ZdK+BOugnkSS"
TARGET = Target(node="mini-1", address="mini-1.lan", host_key=PIN)
BEGIN = f"""\
OpenSSH_9.9p1, LibreSSL 3.3.6
debug1: Reading configuration data /Users/op/.ssh/config
debug1: Authenticating to mini-1.lan:22 as 'op'
debug1: Server host key: ssh-ed25519 {fingerprint(PIN)}
debug1: Next authentication method: publickey
"""
SK = "SHA256:" + "k" * 43
OFFER = f"debug1: Offering public key: /Users/op/.ssh/id_ed25519_sk ED25519-SK {SK} authenticator agent\n"
TOUCH = f"{OFFER}debug1: Server accepts key: /Users/op/.ssh/id_ed25519_sk ED25519-SK {SK} authenticator agent\n"
END = 'Authenticated to mini-1.lan ([10.0.0.4]:22) using "publickey".\ndebug1: Entering interactive session.\n'
TAILSCALE = """\
debug1: SSH2_MSG_SERVICE_ACCEPT received
# Tailscale SSH requires an additional check.
# To authenticate, visit: https://login.tailscale.com/a/0123456789ab
"""


def login_of(text: str) -> Login:
    return heard(text.splitlines(keepends=True))


def test_a_security_key_waits_for_a_touch_until_it_was_touched() -> None:
    waiting = login_of(BEGIN + TOUCH)
    assert waiting.said.touch == "/Users/op/.ssh/id_ed25519_sk"
    done = login_of(BEGIN + TOUCH + END)
    assert done.said.touch is None
    assert done.said.ready
    assert done.key_fingerprint == SK
    assert "nobody touched the security key /Users/op/.ssh/id_ed25519_sk" in late(waiting.said, TARGET).title


def test_a_key_in_a_file_waits_for_nobody() -> None:
    text = BEGIN + OFFER + TOUCH.replace("ED25519-SK", "ED25519").replace("_sk", "")
    assert login_of(text).said.touch is None


def test_an_address_to_open_is_told() -> None:
    said = login_of(BEGIN + TAILSCALE).said
    assert said.url == "https://login.tailscale.com/a/0123456789ab"
    assert "waits for somebody to open https://login.tailscale.com/a/0123456789ab" in late(said, TARGET).title


def test_tailscale_ssh_asks_for_no_key() -> None:
    login = login_of(BEGIN + END.replace("publickey", "none"))
    assert login.said.ready
    assert login.key_fingerprint is None


@pytest.mark.parametrize(
    ("text", "kind", "title"),
    [
        (
            BEGIN + OFFER + "op@mini-1.lan: Permission denied (publickey).\n",
            AuthError,
            "mini-1.lan port 22 refused op",
        ),
        (
            BEGIN + OFFER + "Received disconnect from 10.0.0.4 port 22:2: Too many authentication failures\n",
            AuthError,
            "mini-1.lan port 22 refused op",
        ),
        ("Host key verification failed.\nConnection closed by UNKNOWN port 65535\n", HostKeyError, "on the way to it"),
        ("kex_exchange_identification: Connection closed by remote host\n", Dropped, "no SSH connection"),
        ("kex_exchange_identification: read: Connection reset by peer\n", Dropped, "no SSH connection"),
        ("/bin/sh: tunnel: not found\nConnection closed by UNKNOWN port 65535\n", Unreachable, "no SSH connection"),
        ("command-line: line 0: Bad configuration option: knownhostscommand\n", UsageError, "does not take"),
        ("ssh: connect to host mini-1.lan port 22: Operation timed out\n", Unreachable, "no SSH connection"),
        ("", Unreachable, "no SSH connection with mini-1.lan"),
    ],
)
def test_a_login_that_ended_is_told_by_its_cause(text: str, kind: type[Exception], title: str) -> None:
    found = failure(login_of(text).said, TARGET)
    assert type(found) is kind
    assert title in found.title
    assert found.node == "mini-1"


def test_the_key_that_was_offered_is_in_the_refusal() -> None:
    found = failure(login_of(BEGIN + OFFER + "op@mini-1.lan: Permission denied (publickey).\n").said, TARGET)
    assert f"offered: /Users/op/.ssh/id_ed25519_sk ED25519-SK {SK}" in found.detail


def test_another_host_key_is_seen_as_soon_as_it_is_shown() -> None:
    assert wrong_key(login_of(BEGIN).said, TARGET) is None
    shown = BEGIN.replace(fingerprint(PIN), SK)
    wrong = wrong_key(login_of(shown).said, TARGET)
    assert wrong is not None
    assert SK in wrong.detail
    assert fingerprint(PIN) in wrong.detail


@given(st.lists(st.text(max_size=60) | st.sampled_from((BEGIN + TOUCH + TAILSCALE + END).splitlines()), max_size=20))
def test_any_lines_are_heard_and_any_end_is_told(lines: list[str]) -> None:
    said = heard(lines).said
    assert isinstance(said, Said)
    assert len(said.words) <= 12
    assert failure(said, TARGET).title
    assert late(said, TARGET).title


@given(st.binary(max_size=60))
def test_any_bytes_of_a_control_master_are_a_status_or_none(data: bytes) -> None:
    status = exit_status(data)
    assert status is None or 0 <= status < 2**32


def test_the_pinned_key_counts_whatever_ssh_config_says() -> None:
    folder = Path("/tmp/a 100%")
    target = Target(
        node="n", address="-oProxyCommand=x", port=2222, user="op", key_file="/k e/y", host_key=PIN, jump=""
    )
    for argv in (
        master_argv("/usr/bin/ssh", target, folder=folder, connect_seconds=4.2),
        key_argv("/usr/bin/ssh", target, folder=folder, connect_seconds=4.2),
    ):
        options = [argv[at + 1] for at, word in enumerate(argv) if word == "-o"]
        assert 'UserKnownHostsFile="/tmp/a 100%%/known_hosts"' in options
        assert 'IdentityFile="/k e/y"' in options
        assert {"GlobalKnownHostsFile=/dev/null", "KnownHostsCommand=none", "BatchMode=yes"} <= set(options)
        assert {"ConnectTimeout=5", "Port=2222", "User=op", "ProxyJump=none"} <= set(options)
        assert argv[-2:] == ("--", "-oProxyCommand=x"), "an address is never an option"
