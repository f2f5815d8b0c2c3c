"""The link against SSH servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import getpass
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleet.control.link.credentials import Authenticator
from fleet.control.link.fabric_link import FabricLink
from fleet.control.link.hostkeys import fingerprint
from fleet.control.link.protocol import ChannelEnded, Target
from fleet.control.link.transport import KEEPALIVE_SECONDS
from fleet.errors import AuthError, HostKeyError, Unreachable
from tests.integration.wire import Wire

OpenDoor = Callable[..., Any]


def test_a_command_runs_and_both_its_streams_and_status_come_back(link: FabricLink, open_door: OpenDoor) -> None:
    session = link.connect(open_door().target())
    channel = session.exec("cat; echo oops >&2; exit 3")
    channel.write(b"hello\nworld")
    channel.close_write()
    assert channel.read_line() == b"hello\n"
    assert channel.read_exactly(3) == b"wor"
    assert channel.read_some() == b"ld"
    assert channel.read_some() == b""
    assert channel.wait() == 3
    assert channel.stderr_tail == "oops\n"
    session.close()
    session.close()


def test_a_large_upload_arrives_whole(link: FabricLink, open_door: OpenDoor) -> None:
    channel = link.connect(open_door().target()).exec("wc -c")
    block = memoryview(bytes(range(256)) * 4096)
    for _ in range(4):
        channel.write(block)
    channel.close_write()
    assert int(channel.read_line()) == 4 * len(block)
    assert channel.wait() == 0


def test_the_host_key_can_be_read_without_offering_anything(link: FabricLink, open_door: OpenDoor) -> None:
    door = open_door()
    assert link.host_key(door.target(host_key=None)) == door.host_key
    assert door.auth_requests == []


def test_an_unknown_host_key_stops_before_any_credential_is_offered(link: FabricLink, open_door: OpenDoor) -> None:
    door = open_door()
    with pytest.raises(HostKeyError) as caught:
        link.connect(door.target(host_key=None))
    assert door.auth_requests == []
    assert fingerprint(door.host_key) in caught.value.detail
    assert "fleet adopt mini-1" in caught.value.hint


def test_a_changed_host_key_stops_before_any_credential_is_offered(
    link: FabricLink, open_door: OpenDoor, keys: dict[str, asyncssh.SSHKey]
) -> None:
    door = open_door(host="host")
    other = keys["host2"].export_public_key().decode()
    with pytest.raises(HostKeyError) as caught:
        link.connect(door.target(host_key=other))
    assert door.auth_requests == []
    assert fingerprint(other) in caught.value.detail
    assert fingerprint(door.host_key) in caught.value.detail
    assert "fleet adopt --rekey mini-1" in caught.value.hint
    assert caught.value.exit_code == 4


def test_a_refused_key_lists_everything_that_was_tried(
    link: FabricLink, open_door: OpenDoor, keys: dict[str, asyncssh.SSHKey], home: Path
) -> None:
    wrong = home / ".ssh/wrong"
    keys["other"].write_private_key(str(wrong))
    locked = home / ".ssh/locked"
    keys["user"].write_private_key(str(locked), passphrase="secret")
    config = home / ".ssh/config"
    config.write_text(f"Host *\n  IdentityFile {wrong}\n  IdentityFile {locked}\n  IdentityFile {home}/.ssh/absent\n")
    door = open_door()
    with pytest.raises(AuthError) as caught:
        link.connect(door.target(key_file=None))
    text = caught.value.text
    assert f"{wrong}: refused" in text
    assert f"{locked}: has a passphrase and is not in the agent" in text
    assert "absent: no such file" in text
    assert "refused op" in text


def test_ssh_config_says_user_port_address_and_key(
    link: FabricLink, open_door: OpenDoor, key_file: Path, home: Path
) -> None:
    door = open_door()
    (home / ".ssh/config").write_text(
        f"Host attic\n  HostName 127.0.0.1\n  Port {door.port}\n  User somebody\n  IdentityFile {key_file}\n"
    )
    link.connect(Target(node="mini-1", address="attic", host_key=door.host_key)).close()
    assert door.auth_requests == ["somebody"]


def test_the_usual_key_of_the_home_is_offered_when_nothing_is_configured(
    link: FabricLink, open_door: OpenDoor, keys: dict[str, asyncssh.SSHKey], home: Path
) -> None:
    keys["user"].write_private_key(str(home / ".ssh/id_ed25519"))
    link.connect(open_door().target(key_file=None)).close()


def test_a_port_where_nothing_listens_is_named_with_advice(link: FabricLink, open_door: OpenDoor) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable) as caught:
        link.connect(open_door().target(port=port))
    assert f"127.0.0.1 port {port}" in caught.value.title
    assert "Remote Login" in caught.value.hint


def test_a_name_that_does_not_resolve_is_unreachable(link: FabricLink, open_door: OpenDoor) -> None:
    with pytest.raises(Unreachable, match=r"cannot find nowhere\.invalid"):
        link.connect(open_door().target(address="nowhere.invalid"))


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-stalled\r\n"])
def test_a_server_that_falls_silent_in_the_handshake_meets_the_deadline(
    link: FabricLink, open_door: OpenDoor, greeting: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def accept() -> None:
            peer, _ = listener.accept()
            peer.sendall(greeting)
            held.append(peer)

        threading.Thread(target=accept, daemon=True).start()
        with pytest.raises(Unreachable) as caught:
            link.connect(open_door().target(port=listener.getsockname()[1]), deadline_seconds=0.5)
    assert "no SSH connection with 127.0.0.1" in caught.value.title
    for peer in held:
        peer.close()


def test_what_does_not_speak_ssh_is_said_so(link: FabricLink, open_door: OpenDoor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            peer, _ = listener.accept()
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.close()

        threading.Thread(target=accept, daemon=True).start()
        with pytest.raises(Unreachable, match="does not speak SSH"):
            link.connect(open_door().target(port=listener.getsockname()[1]), deadline_seconds=5)


async def _never(process: asyncssh.SSHServerProcess) -> None:
    await asyncio.sleep(60)


def test_a_command_that_says_nothing_meets_the_deadline(link: FabricLink, open_door: OpenDoor) -> None:
    channel = link.connect(open_door(_never).target()).exec("anything")
    with pytest.raises(Unreachable, match="said nothing more"):
        channel.read_line(within_seconds=0.2)
    with pytest.raises(Unreachable, match="did not end within"):
        channel.wait(within_seconds=0.2)


async def _dribble(process: asyncssh.SSHServerProcess) -> None:
    for _ in range(200):
        process.stdout.write(b"x")
        await asyncio.sleep(0.05)


def test_a_dribbling_command_does_not_outlive_the_deadline_of_one_read(link: FabricLink, open_door: OpenDoor) -> None:
    channel = link.connect(open_door(_dribble).target()).exec("anything")
    with pytest.raises(Unreachable, match="said nothing more"):
        channel.read_exactly(200, within_seconds=0.4)


def test_a_node_that_takes_no_input_meets_the_deadline(link: FabricLink, open_door: OpenDoor) -> None:
    channel = link.connect(open_door(_never).target()).exec("anything")
    with pytest.raises(Unreachable, match="took nothing"):
        channel.write(bytes(16 << 20), within_seconds=0.3)


def test_a_connection_that_is_cut_while_sending_is_lost_not_silent(link: FabricLink, open_door: OpenDoor) -> None:
    door = open_door(_never)
    channel = link.connect(door.target()).exec("anything")
    timer = threading.Timer(0.2, door.cut)
    timer.start()
    with pytest.raises(Unreachable, match="connection was lost"):
        channel.write(bytes(16 << 20), within_seconds=20)


def test_a_connection_that_is_cut_while_reading_is_lost_not_ended(link: FabricLink, open_door: OpenDoor) -> None:
    door = open_door(_never)
    channel = link.connect(door.target()).exec("anything")
    timer = threading.Timer(0.2, door.cut)
    timer.start()
    with pytest.raises(Unreachable, match="connection was lost"):
        channel.read_exactly(10, within_seconds=20)


def test_output_that_ends_early_says_how_the_command_ended(link: FabricLink, open_door: OpenDoor) -> None:
    channel = link.connect(open_door().target()).exec("printf abc; echo 'no such helper' >&2; exit 127")
    with pytest.raises(ChannelEnded) as caught:
        channel.read_exactly(10)
    assert caught.value.received == b"abc"
    assert caught.value.exit_status == 127
    assert "no such helper" in caught.value.detail


@pytest.mark.sshd
def test_much_stderr_never_blocks_the_command(link: FabricLink, sshd: Any) -> None:
    command = "head -c 6000000 /dev/zero | tr '\\0' e >&2; echo done"
    channel = link.connect(sshd.target(user=getpass.getuser())).exec(command)
    assert channel.read_line(within_seconds=20) == b"done\n"
    assert channel.wait() == 0
    assert len(channel.stderr_tail) <= 8192


def test_a_loopback_port_of_the_node_is_reached_over_the_session(link: FabricLink, open_door: OpenDoor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        session = link.connect(open_door().target())
        stream = session.open_tcp(listener.getsockname()[1])
        peer, _ = listener.accept()
        stream.sendall(b"ping")
        assert peer.recv(4) == b"ping"
        peer.sendall(b"pong")
        stream.settimeout(5)
        assert stream.recv(10) == b"pong"
        stream.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stream.recv(1)
        peer.close()
        stream.settimeout(5)
        assert stream.recv(1) == b""


def test_a_closed_port_of_the_node_is_said_to_answer_nothing(link: FabricLink, open_door: OpenDoor) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=f"nothing answers on 127.0.0.1 port {port}"):
        link.connect(open_door().target()).open_tcp(port)


def test_all_targets_of_a_link_share_one_connection_to_the_jump_host(
    link: FabricLink, open_door: OpenDoor, home: Path
) -> None:
    bastion = open_door(host="host2")
    doors = [open_door(), open_door()]
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{bastion.port} {bastion.host_key}\n")
    (home / ".ssh/config").write_text(
        f"Host bastion\n  HostName 127.0.0.1\n  Port {bastion.port}\n  User jumper\n  IdentityFile {bastion.key_file}\n"
        f"Host 127.0.0.1\n  ProxyJump bastion\n"
    )
    found: list[int] = []

    def reach(door: Any) -> None:
        session = link.connect(door.target())
        found.append(session.exec("exit 7").wait())
        session.close()

    threads = [threading.Thread(target=reach, args=(door,)) for door in doors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [7, 7]
    assert bastion.auth_requests == ["jumper"]
    assert sorted(bastion.forwarded) == sorted(door.port for door in doors)


def test_thirty_two_nodes_share_one_jump_host_that_drops_half_and_knock_a_few_at_a_time(
    open_door: OpenDoor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    bastion, door = open_door(host="host2"), open_door()
    wire = Wire(bastion.port)
    wire.shut = lambda number: number % 2 == 1
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{wire.port} {bastion.host_key}\n")
    (home / ".ssh/config").write_text(f"Host *\n  IdentityFile {bastion.key_file}\n")
    link = FabricLink(ssh_config=home / ".ssh/config", home=home)
    target, crowd = door.target(jump=f"op@127.0.0.1:{wire.port}"), Crowd()
    monkeypatch.setattr(Authenticator, "authenticate", crowd.around(Authenticator.authenticate))
    with ThreadPoolExecutor(32) as pool:
        sessions = list(pool.map(lambda number: link.connect(replace(target, node=f"mini-{number}")), range(32)))
    assert all(session.exec("exit 0").wait() == 0 for session in sessions[:3])
    for session in sessions:
        session.close()
    link.close()
    wire.close()
    assert bastion.auth_requests == ["op"]
    assert wire.connections == 2
    assert len(bastion.forwarded) == 32
    assert crowd.most <= 16 + 1  # and the jump host's own


class Crowd:
    """How many are within a function at a time."""

    def __init__(self) -> None:
        self.most = self.now = 0
        self._lock = threading.Lock()

    def around(self, function: Callable[..., None]) -> Callable[..., None]:
        def counted(*args: Any, **named: Any) -> None:
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            try:
                function(*args, **named)
            finally:
                with self._lock:
                    self.now -= 1

        return counted


def test_a_server_that_hangs_up_before_a_word_is_connected_again(link: FabricLink, open_door: OpenDoor) -> None:
    door = open_door()
    wire = Wire(door.port)
    wire.shut = lambda number: number < 4
    session = link.connect(door.target(port=wire.port))
    assert session.exec("exit 5").wait() == 5
    assert link.host_key(door.target(port=wire.port)) == door.host_key
    session.close()
    wire.close()
    assert wire.connections == 5


def test_an_unknown_jump_host_stops_before_any_credential_is_offered(link: FabricLink, open_door: OpenDoor) -> None:
    bastion = open_door(host="host2")
    door = open_door()
    with pytest.raises(HostKeyError, match="jump host's SSH key is not known"):
        link.connect(door.target(jump=f"op@127.0.0.1:{bastion.port}"))
    assert bastion.auth_requests == door.auth_requests == []


def test_a_jump_host_that_is_a_node_is_checked_against_its_pin(open_door: OpenDoor, home: Path) -> None:
    bastion, door = open_door(host="host2"), open_door()
    config = home / ".ssh/config"
    config.touch()
    link = FabricLink(nodes=[bastion.target(node="front-1")], ssh_config=config, home=home)
    assert link.connect(door.target(jump="front-1")).exec("exit 0").wait() == 0
    link.close()
    wrong = FabricLink(nodes=[bastion.target(node="front-1", host_key=door.host_key)], ssh_config=config, home=home)
    with pytest.raises(HostKeyError, match="front-1: the jump host's SSH key is not the pinned one"):
        wrong.connect(door.target(jump="front-1"))


def test_a_jump_host_that_was_lost_is_connected_anew(link: FabricLink, open_door: OpenDoor, home: Path) -> None:
    bastion, door = open_door(host="host2"), open_door()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{bastion.port} {bastion.host_key}\n")
    (home / ".ssh/config").write_text(f"Host *\n  IdentityFile {bastion.key_file}\n")
    target = door.target(jump=f"op@127.0.0.1:{bastion.port}")
    session = link.connect(target)
    bastion.cut()
    with pytest.raises(Unreachable):
        session.exec("sleep 5").wait(within_seconds=20)
    assert link.connect(target).exec("exit 0").wait() == 0


def test_a_proxy_command_carries_the_session_sleeps_with_it_and_ends_with_it(
    link: FabricLink, open_door: OpenDoor, home: Path
) -> None:
    door = open_door()
    relay = home / "relay.py"
    relay.write_text(
        "import os,socket,sys,threading\n"
        f"open({str(home / 'pid')!r},'w').write(str(os.getpid()))\n"
        f"s=socket.create_connection(('127.0.0.1',{door.port}))\n"
        "def up():\n"
        "    while (d:=os.read(0,65536)): s.sendall(d)\n"
        "threading.Thread(target=up,daemon=True).start()\n"
        "while (d:=s.recv(65536)): os.write(1,d)\n"
    )
    (home / ".ssh/config").write_text(f"Host far\n  ProxyCommand python3 {relay}\n")
    session = link.connect(door.target(address="far"))
    channel = session.exec("wc -c; exit 4")
    channel.write(bytes(1 << 20))
    channel.close_write()
    assert int(channel.read_line()) == 1 << 20
    assert channel.wait() == 4
    transport = session._transport  # type: ignore[attr-defined]
    assert transport.sock.gettimeout() == KEEPALIVE_SECONDS
    session.close()
    transport.join(KEEPALIVE_SECONDS / 2)
    assert not transport.is_alive()
    assert not Path(f"/proc/{(home / 'pid').read_text()}").exists()


def test_a_proxy_command_that_fails_is_told_in_its_own_words(link: FabricLink, open_door: OpenDoor, home: Path) -> None:
    (home / ".ssh/config").write_text("Host far\n  ProxyCommand no-such-tunnel %h\n")
    with pytest.raises(Unreachable, match="its ProxyCommand failed") as caught:
        link.connect(open_door().target(address="far"))
    assert "no-such-tunnel" in caught.value.detail


@pytest.mark.sshd
def test_openssh_runs_commands_and_takes_uploads(link: FabricLink, sshd: Any) -> None:
    session = link.connect(sshd.target(user=getpass.getuser()))
    channel = session.exec("wc -c; echo bad >&2; exit 5")
    for _ in range(16):
        channel.write(memoryview(bytes(1 << 18)))
    channel.close_write()
    assert int(channel.read_line()) == 16 << 18
    assert channel.wait() == 5
    assert channel.stderr_tail.endswith("bad\n")
    session.close()


@pytest.mark.sshd
def test_openssh_with_another_host_key_is_refused(
    link: FabricLink, sshd: Any, keys: dict[str, asyncssh.SSHKey]
) -> None:
    other = keys["host2"].export_public_key().decode()
    with pytest.raises(HostKeyError):
        link.connect(sshd.target(user=getpass.getuser(), host_key=other))
    assert link.host_key(sshd.target()) == sshd.host_key


@pytest.mark.sshd
def test_openssh_refuses_a_wrong_key(link: FabricLink, sshd: Any, keys: dict[str, asyncssh.SSHKey], home: Path) -> None:
    keys["other"].write_private_key(str(home / "wrong"))
    with pytest.raises(AuthError, match="refused"):
        link.connect(sshd.target(user=getpass.getuser(), key_file=str(home / "wrong")))


@pytest.mark.sshd
def test_openssh_carries_a_session_as_jump_host(link: FabricLink, sshd: Any, open_door: OpenDoor, home: Path) -> None:
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    (home / ".ssh/config").write_text(f"Host *\n  IdentityFile {sshd.key_file}\n")
    door = open_door(host="host2")
    jump = f"{getpass.getuser()}@127.0.0.1:{sshd.port}"
    assert link.connect(door.target(jump=jump)).exec("exit 6").wait() == 6


def test_an_idle_connection_sleeps_and_its_thread_still_ends_at_once_when_it_is_closed(
    link: FabricLink, open_door: OpenDoor
) -> None:
    session = link.connect(open_door().target())
    transport = session._transport  # type: ignore[attr-defined]
    assert transport.sock.gettimeout() == KEEPALIVE_SECONDS, "paramiko's own 0.1 s are ten wake-ups a second"
    session.close()
    transport.join(KEEPALIVE_SECONDS / 2)
    assert not transport.is_alive()
