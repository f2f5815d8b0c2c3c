"""Weights leave the laptop once: real syncs exchange them, around givers that lie, hang up or are not there."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from fleet.control.actions.asking import Asking
from fleet.control.actions.modelpull import Pulled, Puller
from fleet.control.desired.trees import weights_tree
from fleet.control.inventory import Node, load_inventory
from fleet.control.inventory.project import Project
from fleet.control.link.protocol import target_of
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.exchange import Exchange
from fleet.control.rollout.givers import Givers, GivingNode
from fleet.control.rollout.sharing import Way
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import lock_folder
from fleet.control.supply.pieces import hash_with_pieces, pieces_of
from fleet.errors import NodeError
from fleet.node.sync.frames import Wire
from fleet.node.sync.giving import fresh_identity
from fleet.node.sync.session import Session
from fleet.node.sync.system import SystemHost
from fleet.testing.clock import FakeClock
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.contracts.desired import Tree
from fleet.vocabulary.contracts.peers import Fetch, Give, Giving
from fleet.vocabulary.contracts.sync import Hello
from fleet.vocabulary.names import NodeName, RunId
from tests.node.sync.scripted_giver import Scripted
from tests.node.sync.sync_kit import GROUP, USER, adopted
from tests.node.sync.sync_kit import Node as Mac

SYNC = SyncPart(digest="0" * 64, content=b"")
PORTS = ("gateway_port", "gateway_admin_port", "agent_port", "sidecar_port", "ssh_port")
BIG_BYTES = 5 * 1024 * 1024


class Counted:
    """What a laptop sends, counted."""

    def __init__(self, stdin: BinaryIO) -> None:
        self._stdin = stdin
        self.bytes = 0

    def read(self, size: int) -> bytes:
        return self._count(self._stdin.read(size))

    def readline(self, size: int) -> bytes:
        return self._count(self._stdin.readline(size))

    def _count(self, some: bytes) -> bytes:
        self.bytes += len(some)
        return some


@dataclass
class Lying(Session):
    """A sync that says that it gives somewhere else."""

    where: Callable[[], Giving] = lambda: Giving(port=1, pin="0" * 64)

    def _give(self, wish: Give) -> None:
        self.wire.send(self.where())
        while self.wire.receive() is not None:
            pass


class Room:
    """Three adopted nodes that real syncs speak for, one model, and a laptop whose bytes are counted."""

    def __init__(self, place: Path) -> None:
        self.names = [NodeName(f"mini-{number}") for number in (1, 2, 3)]
        self.macs: dict[str, Mac] = {}
        for name in self.names:
            (place / name).mkdir()
            self.macs[name] = adopted(place / name)
            self.macs[name].mac.programs["/usr/bin/openssl"] = lambda words: SystemHost().run(words)
        hosts = {
            name: self._variables(mac) | {port: at + 10 * number for at, port in enumerate(PORTS, 9000)}
            for number, (name, mac) in enumerate(self.macs.items())
        }
        root = place / "project"
        (root / "inventory").mkdir(parents=True)
        (root / "inventory" / "fleet.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
        self.project = Project(root, root / "inventory" / "fleet.yml")
        self.cache = Cache(place / "cache")
        self.weights = place / "weights"
        self.weights.mkdir()
        (self.weights / "config.json").write_text("{}")
        for name in ("a", "b"):
            (self.weights / f"{name}.safetensors").write_bytes(os.urandom(BIG_BYTES))
        self.manifest = lock_folder(self.weights, name="qwen", cache=self.cache).manifest
        self.counted: list[Counted] = []
        self.gives: list[str] = []
        self.wrong: dict[str, Callable[[], Giving]] = {}
        sessions = {name: FakeSession(self._served(name), node=name) for name in self.names}
        self.link = FakeLink(sessions)

    def _variables(self, mac: Mac) -> dict[str, object]:
        layout = mac.layout
        return {
            "host_key": "ssh-ed25519 AAAA",
            "address": "127.0.0.1",
            "root": layout.root,
            "daemons_dir": layout.daemons_dir,
            "owner": USER,
            "group": GROUP,
            "admin": USER,
            "admin_group": GROUP,
        }

    def _served(self, name: str) -> Callable[[str, BinaryIO, BinaryIO], int]:
        def serve(command: str, stdin: BinaryIO, stdout: BinaryIO) -> int:
            counted = Counted(stdin)
            self.counted.append(counted)
            kind: Any = Lying if name in self.wrong else Session
            session = kind(
                machine=self.macs[name].machine,
                wire=Wire(cast(BinaryIO, counted), stdout),
                state_id="-",
                run_id=f"r{len(self.counted)}",
            )
            if name in self.wrong:
                session.where = self.wrong[name]
            status: int = session.run()
            return status

        return serve

    @property
    def sent_bytes(self) -> int:
        return sum(one.bytes for one in self.counted)

    def nodes(self) -> list[Node]:
        return list(load_inventory(self.project).nodes.values())

    def pull(self, *names: str) -> dict[str, Pulled]:
        asking = Asking(link=self.link, base=self.project.root, sync=SYNC, clock=FakeClock())
        puller = Puller(project=self.project, asking=asking, cache=self.cache, notify=lambda _: None)
        nodes = [node for node in self.nodes() if not names or node.name in names]
        found = puller.pull("qwen", nodes, {node.name: self.manifest for node in nodes})
        return {one.node: one for one in found}

    def whole(self, name: str) -> bool:
        folder = Path(self.macs[name].layout.model("qwen", self.manifest.digest))
        return all(
            (folder / file.path).is_file()
            and hashlib.sha256((folder / file.path).read_bytes()).hexdigest() == file.sha256
            for file in self.manifest.files
        )


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@contextmanager
def elsewhere(room: Room, name: str, said: bytes) -> Iterator[None]:
    """That node gives at a place which says this to the first who asks."""
    context, pin = fresh_identity(SystemHost(), "/usr/bin/openssl")
    assert isinstance(context, ssl.SSLContext)
    with Scripted(context, said).listening(Fetch(digest="", host="", port=0, pin=pin)) as wish:
        room.wrong[name] = lambda: Giving(port=wish.port, pin=wish.pin)
        yield


def test_a_model_for_three_nodes_leaves_the_laptop_once(room: Room) -> None:
    pulled = room.pull()
    assert [one.error for one in pulled.values()] == [None] * 3
    assert all(room.whole(name) for name in room.names)
    assert 2 * BIG_BYTES < room.sent_bytes < 2 * BIG_BYTES + 200_000
    assert any("from mini-" in one.peers for one in pulled.values())


def test_who_has_it_already_gives_it_and_the_laptop_needs_no_weights_at_all(room: Room) -> None:
    room.pull("mini-2")
    before = room.sent_bytes
    for name in ("a", "b"):
        (room.weights / f"{name}.safetensors").unlink()
    pulled = room.pull()
    assert [one.error for one in pulled.values()] == [None] * 3
    assert all(room.whole(name) for name in room.names)
    assert pulled["mini-1"].peers
    assert pulled["mini-2"].peers == ""
    assert room.sent_bytes - before < 200_000


def test_givers_that_nobody_reaches_leave_it_to_the_laptop(room: Room) -> None:
    room.wrong = dict.fromkeys(room.names, Lying.where)
    pulled = room.pull()
    assert [one.error for one in pulled.values()] == [None] * 3
    assert all(room.whole(name) for name in room.names)
    assert {one.peers for one in pulled.values()} == {""}


@pytest.mark.parametrize("how", ["hangs up", "another content", "another key", "makes no sense"])
def test_a_giver_that_fails_in_the_middle_costs_what_was_under_way(room: Room, how: str) -> None:
    room.pull("mini-1")
    before = room.sent_bytes
    path = min(file.path for file in room.manifest.files if file.size_bytes == BIG_BYTES)
    raw = (room.weights / path).read_bytes()
    said = {
        "hangs up": b"OK %d\n" % BIG_BYTES + raw[: BIG_BYTES // 2],
        "another content": b"OK %d\n" % BIG_BYTES + raw[::-1],
        "another key": b"",
        "makes no sense": b"HTTP/1.1 200 OK\r\n",
    }[how]
    with elsewhere(room, "mini-1", said):
        if how == "another key":
            port = room.wrong["mini-1"]().port
            room.wrong["mini-1"] = lambda: Giving(port=port, pin="f" * 64)
        pulled = room.pull("mini-1", "mini-2")
        assert [one.error for one in pulled.values()] == [None] * 2
        assert room.whole("mini-2")
        assert room.sent_bytes - before > BIG_BYTES


def test_nodes_that_are_not_to_exchange_are_sent_it_each(room: Room) -> None:
    text = room.project.inventory.read_text()
    hosts = json.loads(text)
    hosts["all"]["vars"] = {"peer_weights": False}
    room.project.inventory.write_text(json.dumps(hosts))
    pulled = room.pull()
    assert [one.error for one in pulled.values()] == [None] * 3
    assert room.sent_bytes > 6 * BIG_BYTES


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 4096])
def test_pieces_are_those_of_the_very_content_from_wherever_it_lies(tmp_path: Path, size: int) -> None:
    from fleet.control.supply.filepart import FilePart

    content = os.urandom(size)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = tmp_path / "in the middle"
    path.write_bytes(b"xxx" + content + b"yyy")
    expected = tuple(hashlib.sha256(content[at : at + 1000]).hexdigest() for at in range(0, size, 1000))
    part = FilePart(path=path, offset=3, size=size)
    for place in (content, part):
        assert pieces_of(place, digest=digest, size=size, piece_bytes=1000) == expected
    assert pieces_of(path, digest=digest, size=size, piece_bytes=1000) == ()
    path.write_bytes(content)
    assert hash_with_pieces(path, piece_bytes=1000) == (digest.removeprefix("sha256:"), size, expected)
    assert pieces_of(part, digest=digest, size=size + 10, piece_bytes=1000) == ()


def on_paper(room: Room, name: NodeName, tree: Tree) -> GivingNode:
    """A node that is never asked."""
    target = target_of(room.nodes()[0], base=room.project.root)
    return GivingNode(name=name, target=target, helper=Argv.of("x"), host="", trees=(tree,))


def test_who_waits_for_others_says_that_it_is_still_there_and_ends_with_the_run(room: Room) -> None:
    node = room.nodes()[0]
    tree = weights_tree("qwen", room.manifest, node.settings.layout(), task="t")
    giving = [
        GivingNode(
            name=name, target=target_of(node, base=room.project.root), helper=Argv.of("x"), host="", trees=(tree,)
        )
        for name in room.names
    ]
    exchange = Exchange(giving, link=room.link, sync=SYNC, run_id=RunId("r"), cache=room.cache, still_seconds=0.01)
    wants = [file.blob.digest for file in tree.files if file.blob.size == BIG_BYTES]
    for name in room.names[:2]:
        exchange.begin(name, wants, still=lambda: None)
    said: list[str] = []

    def still() -> None:
        said.append("still")
        if len(said) == 3:
            exchange.close()

    waits: list[str] = []
    with pytest.raises(NodeError, match="over"):
        exchange.begin(room.names[2], wants, still=still, waits=lambda: waits.append("waits"))
    assert len(said) == 3
    assert waits


def test_who_waits_is_heard_of_though_others_are_busy_all_the_time(room: Room) -> None:
    node = room.nodes()[0]
    tree = weights_tree("qwen", room.manifest, node.settings.layout(), task="t")
    giving = [on_paper(room, name, tree) for name in room.names]
    clock = FakeClock()
    exchange = Exchange(giving, link=room.link, sync=SYNC, run_id=RunId("r"), cache=room.cache, clock=clock)
    wants = [file.blob.digest for file in tree.files if file.blob.size == BIG_BYTES]
    for name in room.names[:2]:
        exchange.begin(name, wants, still=lambda: None)

    def busy() -> None:
        clock.advance(11.0)  # something happens every eleven seconds
        exchange.holds(NodeName("somebody"), ())

    with pytest.raises(InterruptedError):
        exchange.begin(room.names[2], wants, still=_interrupt, waits=busy)
    exchange.close()


def _interrupt() -> None:
    raise InterruptedError


def test_nobody_begins_before_all_said_what_they_have_unless_that_takes_too_long(room: Room) -> None:
    clock = FakeClock()
    node = room.nodes()[0]
    tree = weights_tree("qwen", room.manifest, node.settings.layout(), task="t")
    (digest, *_) = [file.blob.digest for file in tree.files if file.blob.size == BIG_BYTES]
    giving = [
        GivingNode(
            name=name, target=target_of(node, base=room.project.root), helper=Argv.of("x"), host="", trees=(tree,)
        )
        for name in room.names
    ]
    exchange = Exchange(giving, link=room.link, sync=SYNC, run_id=RunId("r"), cache=room.cache, clock=clock)
    exchange.expect(room.names)
    found: list[Way] = []
    waiting = threading.Thread(target=lambda: found.append(exchange.begin(room.names[0], [digest], still=lambda: None)))
    waiting.start()
    exchange.holds(room.names[0], ())
    exchange.holds(room.names[1], [digest])
    assert not found
    exchange.holds(room.names[2], ())
    waiting.join(10)
    assert found == [Way(digest=digest, giver=room.names[1])]
    exchange.end(room.names[0], got=True)
    exchange.expect([NodeName("never heard of")])
    clock.advance(3600)
    assert exchange.begin(room.names[2], [digest], still=lambda: None).giver in room.names[:2]
    exchange.close()


def test_a_giver_whose_conversation_ends_is_lost_and_not_asked_again(room: Room) -> None:
    lost = threading.Event()

    def gives_and_dies(command: str, stdin: BinaryIO, stdout: BinaryIO) -> int:
        wire = Wire(stdin, stdout)
        wire.greet()
        wire.send(Hello())
        assert isinstance(wire.receive(), Give)
        wire.send(Giving(port=1, pin="0" * 64))
        return 0

    name = room.names[0]
    tree = weights_tree("qwen", room.manifest, room.nodes()[0].settings.layout(), task="t")
    givers = Givers(
        {name: on_paper(room, name, tree)},
        link=FakeLink({name: FakeSession(gives_and_dies, node=name)}),
        sync=SYNC,
        run_id=RunId("r"),
        lost=lambda _: lost.set(),
        most_takers=2,
        still_seconds=0.01,
    )
    first = givers.door(name)
    assert first.token not in repr(first)
    assert lost.wait(10)
    givers.close()
    with pytest.raises(NodeError, match="over"):
        givers.door(name)
