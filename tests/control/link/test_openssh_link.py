"""`link: openssh`: the ssh binary carries commands, ports and reasons as the fabric link does."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest

from fleet.control.link import http
from fleet.control.link.carriers import Carriers
from fleet.control.link.hostkeys import fingerprint
from fleet.control.link.openssh.link import OpenSshLink
from fleet.control.link.protocol import ChannelEnded
from fleet.errors import AuthError, HostKeyError, Unreachable, UsageError

OpenDoor = Callable[..., Any]
pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")


@pytest.fixture
def temp(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sessions of a test have their folders."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def ssh(home: Path, temp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSshLink]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    config = home / ".ssh/config"
    config.touch()
    yield OpenSshLink(config=config)
    assert [one for one in temp.iterdir() if one.is_dir()] == [], "a session left its folder"
    assert [one for one in psutil.Process().children(recursive=True) if one.name() == "ssh"] == []


@pytest.fixture
def session(ssh: OpenSshLink, open_door: OpenDoor) -> Iterator[Any]:
    session = ssh.connect(open_door().target())
    yield session
    session.close()
    session.close()


def test_a_command_runs_and_both_its_streams_and_status_come_back(session: Any) -> None:
    channel = session.exec("cat; echo oops >&2; exit 3")
    channel.write(b"hello\nworld")
    channel.close_write()
    assert channel.read_line() == b"hello\n"
    assert channel.read_exactly(3) == b"wor"
    assert channel.read_some() == b"ld"
    assert channel.read_some() == b""
    assert channel.wait() == 3
    assert channel.stderr_tail == "oops\n"
    channel.close()


def test_the_key_that_was_accepted_is_known(session: Any, key_file: Path, keys: dict[str, asyncssh.SSHKey]) -> None:
    assert session.key_fingerprint == fingerprint(keys["user"].export_public_key().decode())


def test_several_commands_and_ports_share_one_connection(ssh: OpenSshLink, open_door: OpenDoor) -> None:
    door = open_door()
    session = ssh.connect(door.target())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        channels = [session.exec(f"read x; echo $x-{number}") for number in range(3)]
        stream = session.open_tcp(listener.getsockname()[1])
        peer, _ = listener.accept()
        for channel in channels:
            channel.write(b"hi\n")
        assert [channel.read_line() for channel in channels] == [b"hi-0\n", b"hi-1\n", b"hi-2\n"]
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
        stream.close()
    session.close()
    assert len(door.connections) == 1
    assert door.auth_requests == ["op"]


def test_a_large_upload_and_a_large_answer_arrive_whole(session: Any) -> None:
    channel = session.exec("cat")
    block = bytes(range(256)) * 4096
    sender = threading.Thread(target=lambda: (channel.write(memoryview(block)), channel.close_write()))
    sender.start()
    sender.join(0.1)
    sender.join()
    assert channel.read_exactly(len(block)) == block
    assert channel.read_some() == b""
    assert channel.wait() == 0


def test_a_closed_port_of_the_node_is_said_to_answer_nothing(session: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=f"nothing answers on 127.0.0.1 port {port}"):
        session.open_tcp(port)
    assert session.exec("exit 0").wait() == 0, "the session lives on"


def test_an_answer_over_http_comes_through_a_port(session: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwell")
            peer.close()

        threading.Thread(target=serve, daemon=True).start()
        answer = http.get(session, listener.getsockname()[1], "/", timeout=5)
    assert (answer.status, answer.body) == (200, b"well")


def test_output_that_ends_early_says_how_the_command_ended(session: Any) -> None:
    channel = session.exec("printf abc; echo 'no such helper' >&2; exit 127")
    with pytest.raises(ChannelEnded) as caught:
        channel.read_exactly(10)
    assert caught.value.received == b"abc"
    assert caught.value.exit_status == 127
    assert "no such helper" in caught.value.detail


async def _never(process: asyncssh.SSHServerProcess) -> None:
    await asyncio.sleep(60)


def test_a_command_that_says_or_takes_nothing_meets_the_deadline(ssh: OpenSshLink, open_door: OpenDoor) -> None:
    session = ssh.connect(open_door(_never).target())
    channel = session.exec("anything")
    with pytest.raises(Unreachable, match="said nothing more"):
        channel.read_line(within_seconds=0.2)
    with pytest.raises(Unreachable, match="did not end within"):
        channel.wait(within_seconds=0.2)
    with pytest.raises(Unreachable, match="took nothing"):
        channel.write(bytes(16 << 20), within_seconds=0.3)
    session.close()


@pytest.mark.parametrize("writing", [True, False])
def test_a_connection_that_is_cut_is_lost_not_ended(ssh: OpenSshLink, open_door: OpenDoor, writing: bool) -> None:
    door = open_door(_never)
    session = ssh.connect(door.target())
    channel = session.exec("anything")
    timer = threading.Timer(0.2, door.cut)
    timer.start()
    with pytest.raises(Unreachable, match="connection was lost"):
        channel.write(bytes(16 << 20), within_seconds=20) if writing else channel.read_exactly(10, within_seconds=20)
    with pytest.raises(Unreachable, match="connection was lost"):
        session.exec("anything")
    session.close()


def test_the_host_key_can_be_read_without_offering_anything(ssh: OpenSshLink, open_door: OpenDoor) -> None:
    door = open_door()
    assert ssh.host_key(door.target(host_key=None)) == door.host_key


@pytest.mark.parametrize("pinned", [True, False])
def test_another_host_key_stops_before_any_key_is_offered(
    ssh: OpenSshLink, open_door: OpenDoor, keys: dict[str, asyncssh.SSHKey], home: Path, pinned: bool
) -> None:
    door = open_door(host="host")
    (home / ".ssh/config").write_text(
        "Host *\n  StrictHostKeyChecking no\n  NoHostAuthenticationForLocalhost yes\n  HostKeyAlias x\n"
    )
    other = keys["host2"].export_public_key().decode()
    with pytest.raises(HostKeyError) as caught:
        ssh.connect(door.target(host_key=other if pinned else None))
    assert fingerprint(door.host_key) in caught.value.detail
    assert (fingerprint(other) in caught.value.detail) is pinned
    assert ("--rekey mini-1" in caught.value.hint) is pinned
    if pinned:
        assert door.auth_requests == []


def test_a_refused_key_is_told_in_the_words_of_ssh(
    ssh: OpenSshLink, open_door: OpenDoor, keys: dict[str, asyncssh.SSHKey], home: Path
) -> None:
    wrong = home / ".ssh/wrong key"
    keys["other"].write_private_key(str(wrong))
    wrong.chmod(0o600)
    door = open_door()
    with pytest.raises(AuthError) as caught:
        ssh.connect(door.target(key_file=str(wrong)))
    assert caught.value.title == f"127.0.0.1 port {door.port} refused op"
    assert "Permission denied" in caught.value.detail
    assert f"offered: {wrong} ED25519 {fingerprint(keys['other'].export_public_key().decode())}" in caught.value.detail


def test_a_port_where_nothing_listens_and_a_name_that_does_not_resolve_are_unreachable(
    ssh: OpenSshLink, open_door: OpenDoor
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match="refused") as caught:
        ssh.connect(open_door().target(port=port))
    assert "Remote Login" in caught.value.hint
    with pytest.raises(Unreachable, match="resolve"):
        ssh.connect(open_door().target(address="nowhere.invalid"))


def test_a_server_that_falls_silent_meets_the_deadline(ssh: OpenSshLink, open_door: OpenDoor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(Unreachable, match="no answer in time"):
            ssh.connect(open_door().target(port=listener.getsockname()[1]), deadline_seconds=0.5)


def test_an_ssh_config_that_ssh_cannot_read_is_the_users_to_mend(
    ssh: OpenSshLink, open_door: OpenDoor, home: Path
) -> None:
    (home / ".ssh/config").write_text("NoSuchOption yes\n")
    with pytest.raises(UsageError, match="Bad configuration option"):
        ssh.connect(open_door().target())


def test_an_ssh_that_is_not_there_is_said_so(open_door: OpenDoor, temp: Path) -> None:
    with pytest.raises(UsageError, match="there is none"):
        OpenSshLink(program="no-such-ssh").connect(open_door().target())
    assert list(temp.iterdir()) == []


def test_a_person_is_told_once_that_a_security_key_waits_for_a_touch(
    open_door: OpenDoor, home: Path, temp: Path
) -> None:
    key = f"debug1: Server accepts key: id_ed25519_sk ED25519-SK SHA256:{'k' * 43} authenticator"
    program = home / "ssh"
    program.write_text(f"#!/bin/sh\nprintf '{key}\\nsign_and_send\\n' >&2\nread go <'{home}/touched'\n")
    program.chmod(0o755)
    os.mkfifo(home / "touched")
    told: list[tuple[str, str]] = []

    def tell(node: str, text: str) -> None:
        told.append((node, text))
        (home / "touched").write_text("go\n")

    with pytest.raises(Unreachable):
        OpenSshLink(program=str(program), tell=tell).connect(open_door().target())
    assert told == [("mini-1", "touch the security key (id_ed25519_sk)")]
    assert list(temp.iterdir()) == []


def test_a_proxy_command_of_the_users_ssh_config_carries_the_session_and_ends_with_it(
    ssh: OpenSshLink, open_door: OpenDoor, home: Path
) -> None:
    door = open_door()
    relay = home / "relay.py"
    relay.write_text(
        "import os,signal,socket,sys,threading\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"s=socket.create_connection(('127.0.0.1',{door.port}))\n"
        f"open({str(home / 'pid')!r},'w').write(str(os.getpid()))\n"
        "def up():\n"
        "    while (d:=os.read(0,65536)): s.sendall(d)\n"
        "threading.Thread(target=up,daemon=True).start()\n"
        "while (d:=s.recv(65536)): os.write(1,d)\n"
        "signal.pause()\n"
    )
    (home / ".ssh/config").write_text(f"Host far\n  ProxyCommand {sys.executable} {relay}\n")
    session = ssh.connect(door.target(address="far"))
    assert session.exec("exit 4").wait() == 4
    proxy = psutil.Process(int((home / "pid").read_text()))
    session.close()
    until(lambda: not proxy.is_running() or proxy.status() == psutil.STATUS_ZOMBIE)  # killed, and perhaps not yet gone


_LAPTOP = """\
import sys, time
from fleet.control.link.openssh.link import OpenSshLink
from fleet.control.link.protocol import Target
from pathlib import Path
port, key, pin, config = sys.argv[1:]
link = OpenSshLink(config=Path(config))
session = link.connect(Target(node="n", address="127.0.0.1", port=int(port), user="op", key_file=key, host_key=pin))
channel = session.exec("echo up; sleep 600")
print(channel.read_line().decode(), flush=True)
time.sleep(600)
"""


def test_nothing_is_left_behind_when_the_laptops_process_is_killed(
    ssh: OpenSshLink, open_door: OpenDoor, temp: Path, home: Path
) -> None:
    door = open_door()
    laptop = subprocess.Popen(
        [sys.executable, "-c", _LAPTOP, str(door.port), str(door.key_file), door.host_key, str(home / ".ssh/config")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temp)},
    )
    assert laptop.stdout is not None
    assert laptop.stdout.readline() == "up\n"
    family = psutil.Process(laptop.pid).children(recursive=True)
    assert "ssh" in {one.name() for one in family}
    laptop.send_signal(signal.SIGKILL)
    laptop.wait()
    laptop.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_a_server_that_hangs_up_at_first_is_connected_again(ssh: OpenSshLink, open_door: OpenDoor) -> None:
    door = open_door()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                listener.accept()[0].close()
            peer, _ = listener.accept()
            with socket.create_connection(("127.0.0.1", door.port)) as far:
                back = threading.Thread(target=_pump, args=(far, peer))
                back.start()
                _pump(peer, far)
                back.join()
            peer.close()

        worker = threading.Thread(target=serve)
        worker.start()
        session = ssh.connect(door.target(port=listener.getsockname()[1]))
        assert session.exec("exit 5").wait() == 5
        session.close()
        worker.join(10)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.mark.sshd
def test_openssh_takes_uploads_and_tells_much_stderr(ssh: OpenSshLink, sshd: Any) -> None:
    session = ssh.connect(sshd.target(user=getpass.getuser()))
    channel = session.exec("wc -c; head -c 3000000 /dev/zero | tr '\\0' e >&2; echo done; kill -9 $$")
    for _ in range(16):
        channel.write(memoryview(bytes(1 << 18)))
    channel.close_write()
    assert int(channel.read_line()) == 16 << 18
    assert channel.read_line(within_seconds=20) == b"done\n"
    assert channel.wait() == -1
    assert len(channel.stderr_tail) == 8192
    session.close()


def test_each_node_has_the_carrier_that_its_inventory_names(
    open_door: OpenDoor, home: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    config = home / ".ssh/config"
    config.touch()
    door = open_door()
    link = Carriers(ssh_config=config, keys=home / "keys")
    for carrier in ("fabric", "openssh"):
        session = link.connect(door.target(carrier=carrier))
        assert session.exec("exit 9").wait() == 9
        assert session.key_fingerprint is not None
        session.close()
        assert link.host_key(door.target(carrier=carrier)) == door.host_key
    link.close()
