"""What is offered to a node: ssh_config's words as ssh reads them, certificates, and what worked last."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.link.again import Dropped, Patience
from fleet.control.link.certificates import parse_blob, parse_public
from fleet.control.link.deadline import Deadline
from fleet.control.link.identities import Identities, agent_socket, expanded
from fleet.control.link.keymemory import KeyMemory
from fleet.errors import Unreachable

TOKENS = {"%": "%", "d": "/home/op", "h": "mini-1", "r": "op", "i": "501"}
FINGERPRINT = "SHA256:" + "a" * 43


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (None, "/tmp/sock"),
        ("SSH_AUTH_SOCK", "/tmp/sock"),
        ("none", None),
        ("$OTHER", "/tmp/other"),
        ("$ABSENT", None),
        ('"~/Library/1 Password/agent.sock"', "/home/op/Library/1 Password/agent.sock"),
        ("/run/%i/%r@%h.sock", "/run/501/op@mini-1.sock"),
        ("${OTHER}.d/100%%", "/tmp/other.d/100%"),
    ],
)
def test_identity_agent_is_read_as_ssh_reads_it(configured: str | None, expected: str | None) -> None:
    environment = {"SSH_AUTH_SOCK": "/tmp/sock", "OTHER": "/tmp/other"}
    assert agent_socket(configured, TOKENS, environment=environment) == expected


@given(st.text(max_size=40))
def test_any_text_is_expanded_without_failing(text: str) -> None:
    assert isinstance(expanded(text, TOKENS, environment={}), str)


def test_the_inventorys_key_file_is_offered_alone(tmp_path: Path) -> None:
    found = Identities.of(
        "/keys/fleet", {"identityfile": ["/keys/other"], "identitiesonly": "no"}, home=tmp_path, environment={}
    )
    assert (found.files, found.agent_keys, found.agent_socket) == ((Path("/keys/fleet"),), False, None)


def test_identities_only_keeps_the_agents_other_keys_back(tmp_path: Path) -> None:
    words = {"identityfile": ["%d/one", "~/two"], "identitiesonly": "yes"}
    found = Identities.of(None, words, home=tmp_path, environment={})
    assert found.files == (tmp_path / "one", tmp_path / "two")
    assert not found.agent_keys
    assert Identities.of(None, {}, home=tmp_path, environment={}).agent_keys


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_certificate_names_the_bare_key_that_it_vouches_for(tmp_path: Path, kind: str) -> None:
    for name in ("ca", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / name], check=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-s", tmp_path / "ca", "-I", "x", "-n", "op", tmp_path / "user.pub"], check=True
    )
    bare = parse_public((tmp_path / "user.pub").read_text())
    certificate = parse_public((tmp_path / "user-cert.pub").read_text())
    assert bare is not None
    assert certificate is not None
    assert certificate.certificate
    assert not bare.certificate
    assert certificate.key == bare.blob
    said = subprocess.run(["ssh-keygen", "-lf", tmp_path / "user.pub"], capture_output=True, text=True, check=True)
    assert certificate.fingerprint == bare.fingerprint == said.stdout.split()[1]
    cut = [parse_blob(certificate.blob[:size]) for size in range(len(certificate.blob))]
    assert cut[0] is None
    found = Identities(files=(), agent_socket=None, agent_keys=False).certificates_of(tmp_path / "user")
    assert [part for _, part in found] == [certificate]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_public_part_or_none(blob: bytes) -> None:
    part = parse_blob(blob)
    assert part is None or part.fingerprint.startswith("SHA256:")


def test_a_line_that_is_no_key_is_none(keys: dict[str, asyncssh.SSHKey]) -> None:
    assert parse_public("") is None
    assert parse_public("ssh-ed25519 not*base64") is None
    assert parse_public(keys["user"].export_public_key().decode()) is not None


def test_what_worked_last_is_remembered_and_nothing_else_is(tmp_path: Path) -> None:
    memory = KeyMemory(tmp_path / "keys")
    assert memory.recall("op@mini-1 port 22") is None
    memory.remember("op@mini-1 port 22", FINGERPRINT)
    assert memory.recall("op@mini-1 port 22") == FINGERPRINT
    assert memory.recall("op@mini-2 port 22") is None
    (place,) = (tmp_path / "keys").iterdir()
    assert place.read_text() == FINGERPRINT + "\n"
    place.write_bytes(b"\xff\xfe")
    assert memory.recall("op@mini-1 port 22") is None


def test_a_memory_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    for memory in (KeyMemory(tmp_path / "keys"), KeyMemory(None)):
        memory.remember("op@mini-1 port 22", FINGERPRINT)
        assert memory.recall("op@mini-1 port 22") is None


class _Doorman:
    """Lets the caller in at the given try."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.slept: list[float] = []

    def connect(self) -> str:
        self.left -= 1
        if self.left:
            raise Dropped("hung up")
        return "in"


@given(number=st.integers(1, 10), share=st.floats(0, 1))
def test_a_dropped_connection_is_tried_again_after_a_wait_with_jitter(number: int, share: float) -> None:
    door = _Doorman(number)
    patience = Patience(door.slept.append, lambda: share)
    assert patience.until_let_in(door.connect, deadline=Deadline.after(60)) == "in"
    assert len(door.slept) == number - 1
    assert all(0.05 <= wait <= 1.5 for wait in door.slept)


def test_a_door_that_stays_shut_and_a_deadline_end_the_tries() -> None:
    door = _Doorman(99)
    with pytest.raises(Unreachable, match="hung up"):
        Patience(door.slept.append, lambda: 1.0).until_let_in(door.connect, deadline=Deadline.after(60))
    assert len(door.slept) == 9
    door = _Doorman(99)
    with pytest.raises(Unreachable, match="hung up"):
        Patience(door.slept.append, lambda: 1.0).until_let_in(door.connect, deadline=Deadline.after(0.4))
    assert len(door.slept) == 2
