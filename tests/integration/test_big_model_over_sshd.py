"""A large model to several nodes at once over real sshd: no process grows with it, and a cut costs what was under way.

FLEET_SHOW=1 makes it 2 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from fleet.vocabulary.contracts.peers import PIECE_BYTES
from tests.integration.conftest import environment
from tests.integration.sshd import SshdRoom, needs_sshd, sshd_room, until

pytestmark = [pytest.mark.sshd, needs_sshd, pytest.mark.timeout(600)]

MIB = 1024 * 1024
BIG_BYTES = 2048 * MIB if os.environ.get("FLEET_SHOW") else 64 * MIB
MOST_GROWTH_BYTES = 64 * MIB
CUT_BYTES = 50 * MIB
SHARED_BYTES = 24 * MIB


@pytest.fixture(scope="module")
def macs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdRoom]:
    with sshd_room(tmp_path_factory.mktemp("big"), nodes=3) as room:
        yield room


def a_model(room: SshdRoom, name: str, size_bytes: int, *, content: bytes = b"") -> Path:
    """Locked weights of that size: a hole but for their beginning."""
    folder = room.folder / "weights" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    weights = folder / "model.safetensors"
    weights.write_bytes(content or name.encode())
    os.truncate(weights, size_bytes)
    room.fleet("model", "lock", f"file:{folder}", "--name", name)
    return weights


def tree_bytes(process: psutil.Process) -> int:
    """The memory of a process and everything below it; what several share is counted once, or not at all."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            memory = one.memory_full_info()
        except psutil.Error:
            continue
        total += getattr(memory, "pss", memory.uss)
    return total


def trees(room: SshdRoom, laptop: int) -> Mapping[str, int]:
    """By name: the laptop's command, and each node's sshd with its sessions and the sync in them."""
    found = {"laptop": tree_bytes(psutil.Process(laptop))}
    for name, door in room.doors.items():
        found[name] = tree_bytes(psutil.Process(int((door.log.parent / "sshd.pid").read_text())))
    return found


class Scales:
    """How much each process tree grows from the first `weigh` on, looked at all the time."""

    def __init__(self, room: SshdRoom, laptop: int) -> None:
        self._room = room
        self._laptop = laptop
        self._first: Mapping[str, int] = {}
        self._most: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def weigh(self) -> None:
        """Take what there is now as the beginning, unless it was taken."""
        if not self._first:
            self._first = trees(self._room, self._laptop)
            self._thread.start()

    def stop(self) -> dict[str, int]:
        """The most that each tree had more than at the beginning."""
        self._over.set()
        self._thread.join()
        return {name: size - self._first[name] for name, size in self._most.items()}

    def _look(self) -> None:
        while not self._over.wait(0.02):
            try:
                now = trees(self._room, self._laptop)
            except psutil.NoSuchProcess:
                return
            self._most = {name: max(size, self._most.get(name, 0)) for name, size in now.items()}


def test_a_big_model_to_three_nodes_at_once_grows_no_process_tree(macs: SshdRoom) -> None:
    a_model(macs, "big", BIG_BYTES)
    macs.playbook({"name": "big", "model": {"name": "big"}})
    sending: set[str] = set()
    with macs.deploying("--json") as deploy:
        scales = Scales(macs, deploy.pid)
        assert deploy.stdout
        for line in deploy.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("phase") == "send" and event["status"] == "start":
                sending.add(event["node"])
                scales.weigh()
        deploy.wait(60)
        growth = scales.stop()
    assert deploy.returncode == 0
    assert len(sending) == 3
    print({name: f"{size / MIB:.0f} MB more" for name, size in growth.items()})  # noqa: T201 (shown)
    assert set(growth) == {"laptop", *macs.doors}
    assert all(size <= MOST_GROWTH_BYTES for size in growth.values()), growth
    for name in macs.doors:
        (weights,) = (macs.root(name) / "models").glob("big@*/model.safetensors")
        assert weights.stat().st_size == BIG_BYTES


def grown_by_a_deploy(room: SshdRoom) -> dict[str, int]:
    """How much each process tree grew, from the first moment of the command on."""
    with room.deploying("--json") as deploy:
        scales = Scales(room, deploy.pid)
        scales.weigh()
        assert deploy.stdout
        said = deploy.stdout.read()
        deploy.wait(60)
        growth = scales.stop()
    assert deploy.returncode == 0, said
    return growth


@pytest.mark.long
def test_a_big_file_of_the_project_to_three_nodes_at_once_is_held_nowhere(macs: SshdRoom) -> None:
    """`file: src`. Commands start from nothing, so what a small file takes is what this one may take, and a little."""
    source = macs.folder / "templates" / "big.img"
    source.parent.mkdir(exist_ok=True)
    source.write_text("small")
    macs.playbook({"name": "big file", "file": {"src": "big.img", "dest": "var/big.img"}})
    small = grown_by_a_deploy(macs)
    os.truncate(source, BIG_BYTES)
    big = grown_by_a_deploy(macs)
    more = {name: size - small[name] for name, size in big.items()}
    print({name: f"{size / MIB:.0f} MB more" for name, size in more.items()})  # noqa: T201 (shown)
    assert set(more) == {"laptop", *macs.doors}
    assert all(size <= MOST_GROWTH_BYTES for size in more.values()), more
    for name in macs.doors:
        there = macs.root(name) / "var" / "big.img"
        assert there.stat().st_size == BIG_BYTES
        with there.open("rb") as file:
            assert file.read(8) == b"small\0\0\0"


def test_a_pull_of_fifty_megabytes_that_was_cut_goes_on_where_it_stopped(macs: SshdRoom) -> None:
    weights = a_model(macs, "cut", CUT_BYTES, content=os.urandom(CUT_BYTES))
    with macs.wire("mac-1") as wire:
        wire.cut_at = CUT_BYTES // 2
        assert "the connection was lost" in macs.fleet("model", "pull", "cut", "mac-1", expect=4).stderr
        here = sum(part.stat().st_size for part in (macs.root("mac-1") / "blobs").glob("*.part"))
        assert CUT_BYTES // 4 < here < CUT_BYTES
        assert not list((macs.root("mac-1") / "models").glob("cut@*"))
        wire.reset()
        macs.fleet("model", "pull", "cut", "mac-1")
        assert CUT_BYTES - here < wire.sent_bytes < CUT_BYTES - here + 512 * 1024
    (there,) = (macs.root("mac-1") / "models").glob("cut@*/model.safetensors")
    assert there.read_bytes() == weights.read_bytes()
    assert "was there" in macs.fleet("model", "pull", "cut", "mac-1").stdout
    listed = macs.fleet("model", "ls", "mac-1").stdout
    assert "cut@" in listed
    assert "pulled; spared until" in listed
    assert "cut@" in macs.fleet("model", "gc", "mac-1", "--pulled").stdout
    assert not there.exists()


def giver_of(room: SshdRoom, name: str) -> psutil.Process | None:
    """The process that gives weights on a node: the one below its sshd that listens."""
    sshd = psutil.Process(int((room.doors[name].log.parent / "sshd.pid").read_text()))
    for one in sshd.children(recursive=True):
        try:
            if any(line.status == psutil.CONN_LISTEN for line in one.net_connections("tcp")):
                return one
        except psutil.Error:
            continue
    return None


def weights_on(room: SshdRoom, model: str, name: str) -> bytes | None:
    found = list((room.root(name) / "models").glob(f"{model}@*/model.safetensors"))
    return found[0].read_bytes() if found else None


def test_a_giver_that_is_killed_in_the_middle_costs_what_was_not_whole_pieces(macs: SshdRoom) -> None:
    content = os.urandom(SHARED_BYTES)
    a_model(macs, "shared", SHARED_BYTES, content=content)
    macs.set_variables(peer_mb_per_second=12)
    macs.fleet("model", "pull", "shared", "mac-1")
    with macs.wire("mac-2") as second, macs.wire("mac-3") as third:
        words = [sys.executable, "-m", "fleet", "model", "pull", "shared", "mac-1", "mac-2", "mac-3"]
        pull = subprocess.Popen(
            words, cwd=macs.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: any(size > PIECE_BYTES for size in parts(macs)), within_seconds=60)
            giver = giver_of(macs, "mac-1")
            assert giver is not None
            giver.kill()
            out, err = pull.communicate(timeout=120)
        finally:
            pull.kill()
        assert pull.returncode == 0, err
        by_laptop = second.sent_bytes + third.sent_bytes
    assert [weights_on(macs, "shared", name) == content for name in macs.doors] == [True] * 3
    assert "from mac-1" in out
    assert by_laptop < SHARED_BYTES
    assert by_laptop > SHARED_BYTES - 2 * PIECE_BYTES
    assert not [name for name in macs.doors if giver_of(macs, name)]


def parts(room: SshdRoom) -> list[int]:
    """How much has come of what is on its way to the nodes."""
    found = []
    for name in room.doors:
        for part in (room.root(name) / "blobs").glob("*.part"):
            try:
                found.append(part.stat().st_size)
            except FileNotFoundError:
                continue
    return found


@pytest.mark.long
def test_a_deploy_of_a_new_model_sends_it_once_and_no_node_listens_afterwards(macs: SshdRoom) -> None:
    content = os.urandom(SHARED_BYTES)
    a_model(macs, "once", SHARED_BYTES, content=content)
    macs.set_variables(peer_mb_per_second=0)
    macs.playbook({"name": "once", "model": {"name": "once"}})
    with macs.wire("mac-1") as one, macs.wire("mac-2") as two, macs.wire("mac-3") as three:
        said = macs.deploy("--json").stdout
        sent = one.sent_bytes + two.sent_bytes + three.sent_bytes
    assert SHARED_BYTES < sent < SHARED_BYTES + 8 * MIB
    assert said.count(" from mac-") == 2
    assert [weights_on(macs, "once", name) == content for name in macs.doors] == [True] * 3
    assert not [name for name in macs.doors if giver_of(macs, name)]
