"""Both SSH doors, driven by OpenSSH's own client: exec, exit status, streams, forwarding, cuts, terminals."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh
import pytest

from fleet.sim.doors.openssh import OpenSshDoor, find_sshd, sshd_config
from fleet.sim.faults import parse_fault
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.node import SimNode
from fleet.sim.ports import free_ports
from fleet.sim.tree import NodeTree
from tests.sim.conftest import alive, eventually, real

PATIENCE_SECONDS = 90.0
"""Only for what never ends: ciphering megabytes takes half a minute on a machine that has much else to do."""

MUCH_BYTES = 6 * 1024 * 1024
"""More than a channel's window."""

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh client here")
needs_sshd = pytest.mark.skipif(find_sshd() is None, reason="no sshd here")


class Door:
    """A node's open door and the key that opens it."""

    def __init__(self, tree: NodeTree, port: int, node: SimNode | None = None) -> None:
        self.tree, self.port, self.node = tree, port, node
        self.key = tree.path.parent / "id"

    def ssh(self, *words: str, known_hosts: Path | None = None) -> list[str]:
        options = ("BatchMode=yes", f"StrictHostKeyChecking={'accept-new' if known_hosts else 'no'}",
                   f"UserKnownHostsFile={known_hosts or '/dev/null'}", "LogLevel=ERROR",
                   "IdentitiesOnly=yes", f"IdentityFile={self.key}")  # fmt: skip
        flags = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "/dev/null", *flags, "-p", str(self.port), "127.0.0.1", *words]

    async def run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            *self.ssh(*words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), PATIENCE_SECONDS)
        return process.returncode or 0, out, err


def _let_in(tree: NodeTree) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path = tree.path.parent / "id"
    path.touch(mode=0o600)
    key.write_private_key(str(path))
    key.write_public_key(str(tree.authorized_keys))


@pytest.fixture
async def inside(tree: NodeTree) -> AsyncIterator[Door]:
    """The asyncssh door."""
    _let_in(tree)
    port = next(free_ports())
    node = SimNode(tree, ssh_port=port, marker=tree.said("marker") or "", conditions=Conditions(throttle_scale=0.02))
    await node.start()
    yield Door(tree, port, node)
    await node.stop()


@pytest.fixture
def outside(tree: NodeTree):
    """OpenSSH's sshd."""
    _let_in(tree)
    door = OpenSshDoor(tree, next(free_ports()))
    door.start()
    yield Door(tree, door.port)
    door.stop()


@pytest.fixture(
    params=["inside", pytest.param("outside", marks=[pytest.mark.sshd, needs_sshd])],
)
def door(request: pytest.FixtureRequest) -> Door:
    return request.getfixturevalue(request.param)


pytestmark = needs_ssh


async def test_a_command_has_its_own_streams_and_exit_status(door: Door) -> None:
    assert await door.run("cat; echo two >&2; exit 7", stdin=b"one\n") == (7, b"one\n", b"two\n")
    assert (await door.run("kill -TERM $$"))[0] != 0


async def test_the_account_and_its_place_are_the_nodes(door: Door) -> None:
    _, out, _ = await door.run("pwd; echo $PATH; command -v launchctl")
    assert out.decode().splitlines() == [
        real(door.tree.home),
        f"{door.tree.bin}:/usr/bin:/bin:/usr/sbin:/sbin",
        f"{door.tree.bin}/launchctl",
    ]


async def test_megabytes_arrive_unharmed_both_ways(door: Door) -> None:
    data = os.urandom(1 << 20) * 12
    _, out, _ = await door.run("tee got", stdin=data)
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
    assert (door.tree.home / "got").read_bytes() == data


async def test_a_shell_without_a_command_takes_its_commands_from_stdin(door: Door) -> None:
    assert await door.run("-T", stdin=b"echo $((6 * 7))\nexit 3\n") == (3, b"42\n", b"")


async def test_a_terminal_is_one(door: Door) -> None:
    code, out, _ = await door.run("-tt", "test -t 0 && test -t 1 && echo terminal $TERM; exit 4")
    assert (code, b"terminal" in out) == (4, True)


async def test_loopback_is_forwarded_so_a_jump_to_another_node_works(door: Door) -> None:
    async with _target(_upper_after_the_end) as port:
        process = await _forwarded(door, port)
        out, _ = await asyncio.wait_for(process.communicate(b"hi\n"), PATIENCE_SECONDS)
    assert (out, process.returncode) == (b"HI\n", 0)


async def test_a_target_that_speaks_first_and_hangs_up_ends_the_jump(door: Door) -> None:
    async with _target(_greet_and_hang_up) as port:
        process = await _forwarded(door, port)
        assert process.stdout
        out = await asyncio.wait_for(process.stdout.read(), PATIENCE_SECONDS)
        assert (out, await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)) == (b"no more\n", 0)


async def test_megabytes_that_a_target_sends_before_it_hangs_up_all_arrive(door: Door) -> None:
    async with _target(_pour_and_hang_up) as port:
        process = await _forwarded(door, port)
        out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert (len(out), process.returncode) == (MUCH_BYTES, 0)


async def test_a_port_where_nobody_listens_refuses_the_jump(door: Door) -> None:
    process = await _forwarded(door, next(free_ports()))
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert (process.returncode, b"stdio forwarding failed" in err) == (255, True)


async def test_an_unknown_key_is_not_let_in(door: Door) -> None:
    door.tree.authorized_keys.write_text("")
    code, _, err = await door.run("true")
    assert (code, b"Permission denied" in err) == (255, True)


async def test_noise_comes_before_the_output(door: Door) -> None:
    door.tree.say("noise", "Welcome!")
    assert (await door.run("echo said"))[1] == b"Welcome!\nsaid\n"


async def test_a_process_whose_connection_is_cut_is_ended_but_daemons_live_on(inside: Door) -> None:
    assert inside.node
    process = await asyncio.create_subprocess_exec(
        *inside.ssh("echo $$ >pid.part; mv pid.part pid; exec sleep 600"), stderr=asyncio.subprocess.DEVNULL
    )
    pid_file = inside.tree.home / "pid"
    await eventually(pid_file.exists)
    pid = int(pid_file.read_text())
    await inside.node.inject(parse_fault("cut"))
    assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 255
    await eventually(lambda: not alive(pid))
    assert (await inside.run("echo back"))[1] == b"back\n"


async def test_a_node_that_is_down_refuses_and_comes_back(inside: Door) -> None:
    assert inside.node
    await inside.node.inject(parse_fault("down"))
    code, _, err = await inside.run("true")
    assert (code, b"Connection refused" in err) == (255, True)
    await inside.node.clear("down")
    assert (await inside.run("true"))[0] == 0


async def test_a_slow_node_answers_all_the_same(inside: Door) -> None:
    assert inside.node
    await inside.node.inject(parse_fault("slow=20ms"))
    assert await inside.run("cat", stdin=b"x" * 300_000) == (0, b"x" * 300_000, b"")


async def test_another_host_key_is_another_identity(inside: Door) -> None:
    assert inside.node
    known = inside.key.with_name("known_hosts")

    def call() -> subprocess.CompletedProcess[bytes]:
        words = inside.ssh("true", known_hosts=known)
        return subprocess.run(words, capture_output=True, timeout=PATIENCE_SECONDS, check=False)

    assert (await asyncio.to_thread(call)).returncode == 0
    await inside.node.inject(parse_fault("host-key"))
    answer = await asyncio.to_thread(call)
    assert (answer.returncode, b"REMOTE HOST IDENTIFICATION HAS CHANGED" in answer.stderr) == (255, True)


def test_the_sshd_of_a_node_forces_the_wrapper_and_takes_no_password(tree: NodeTree) -> None:
    config = sshd_config(tree, port=2222)
    assert f"ForceCommand {tree.exec}\n" in config
    assert "PasswordAuthentication no\n" in config


async def test_a_machine_that_goes_off_takes_its_sessions_along(inside: Door) -> None:
    assert inside.node
    process = await asyncio.create_subprocess_exec(
        *inside.ssh("trap '' HUP TERM; echo $$ >pid.part; mv pid.part pid; while :; do sleep 0.1; done"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    pid_file = inside.tree.home / "pid"
    await eventually(pid_file.exists)
    pid = int(pid_file.read_text())
    await inside.node.inject(parse_fault("down"))
    assert not alive(pid)
    assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 255


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _target(talk: Conversation) -> AsyncIterator[int]:
    """A port that has one conversation with whoever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _forwarded(door: Door, port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *door.ssh()[:-1], "-W", f"127.0.0.1:{port}", "127.0.0.1",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _upper_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())


async def _greet_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"no more\n")


async def _pour_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * MUCH_BYTES)
