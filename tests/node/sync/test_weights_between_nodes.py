"""One node gives weights, another fetches them: by hash, by piece, behind a pin and a token, resumed, cut, refused."""

from __future__ import annotations

import hashlib
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_giver import Scripted
from sync_kit import Node, adopted, sha
from test_session import frame, of, talk

from fleet.node.sync.blobs import Blobs
from fleet.node.sync.fetching import Fetching, Growing, PeerError
from fleet.node.sync.giving import Giver, Shelf, fresh_identity
from fleet.node.sync.problem import Problem
from fleet.node.sync.stow import stowage
from fleet.node.sync.system import SystemHost
from fleet.node.sync.throttle import Throttle
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.desired import Tree, TreeFile
from fleet.vocabulary.contracts.peers import Fetch, Fetched, Give, Giving, Still
from fleet.vocabulary.contracts.questions import Seal, Stow, Stowed
from fleet.vocabulary.contracts.sync import Bye, Failed

TOKEN = "0123456789abcdef" * 2
PIECE = 1000
WEIGHTS = bytes(range(256)) * 40
FILES = {"a.safetensors": WEIGHTS}
DIGEST = sha(WEIGHTS).digest


@pytest.fixture(scope="module")
def identity() -> tuple[ssl.SSLContext, str]:
    return fresh_identity(SystemHost(), "/usr/bin/openssl")


@pytest.fixture
def here(tmp_path: Path) -> Node:
    """Who lacks the weights."""
    return adopted(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Node:
    """Who has them."""
    node = adopted(tmp_path / "there")
    Path(node.layout.blob(DIGEST[7:])).write_bytes(WEIGHTS)
    return node


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir(exist_ok=True)


def tree(node: Node, files: dict[str, bytes] = FILES) -> Tree:
    listed = tuple(TreeFile(path=path, blob=sha(content)) for path, content in sorted(files.items()))
    return Tree(task="t", role="model", name="qwen", path=node.layout.model("qwen", "a" * 64), files=listed)


def pieces(content: bytes = WEIGHTS, size: int = PIECE) -> tuple[str, ...]:
    return tuple(hashlib.sha256(content[at : at + size]).hexdigest() for at in range(0, len(content), size))


@contextmanager
def door(
    node: Node, identity: tuple[ssl.SSLContext, str], *, most_takers: int = 2, throttle: Throttle | None = None
) -> Iterator[Fetch]:
    """How to fetch the weights from that node."""
    shelf = Shelf(layout=node.layout, disk=node.machine.disk, trees=(tree(node),))
    wish = Give(token=TOKEN, host="127.0.0.1", most_takers=most_takers)
    with Giver(shelf=shelf, wish=wish, context=identity[0], throttle=throttle or Throttle(clock=FakeClock())) as giver:
        yield Fetch(digest=DIGEST, host="127.0.0.1", port=giver.port, pin=identity[1], token=TOKEN, pieces=pieces())


def wish_for(pin: str) -> Fetch:
    return Fetch(digest=DIGEST, host="127.0.0.1", port=0, pin=pin, token=TOKEN, pieces=pieces())


def fetching(node: Node) -> Fetching:
    state = stowage(node.machine, Stow(trees=(tree(node),)))
    blobs = Blobs(machine=node.machine, state=state)
    return Fetching(blobs=blobs, proceed=lambda: None, told=lambda _: None, piece_bytes=PIECE)


def landed(node: Node) -> bytes | None:
    path = Path(node.layout.blob(DIGEST[7:]))
    return path.read_bytes() if path.exists() else None


def part(node: Node) -> Path:
    return Path(f"{node.layout.blob(DIGEST[7:])}.part")


def test_a_blob_comes_over_verified_and_the_second_time_nothing_is_asked(
    here: Node, there: Node, identity: tuple[ssl.SSLContext, str]
) -> None:
    with door(there, identity) as wish:
        assert fetching(here).run(wish) == Fetched(digest=DIGEST, received_bytes=len(WEIGHTS))
    assert landed(here) == WEIGHTS
    assert fetching(here).run(wish) == Fetched(digest=DIGEST)


@pytest.mark.parametrize("place", ["landed", "on its way", "in its tree"])
def test_weights_are_found_wherever_staging_has_them(
    here: Node, there: Node, place: str, identity: tuple[ssl.SSLContext, str]
) -> None:
    folder = {"on its way": f"{tree(there).path}.new", "in its tree": tree(there).path}.get(place)
    if folder:
        Path(folder).mkdir(parents=True)
        Path(there.layout.blob(DIGEST[7:])).rename(f"{folder}/a.safetensors")
    with door(there, identity) as wish:
        assert fetching(here).run(wish).left is None


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(here_bytes=st.integers(0, len(WEIGHTS)), wrong=st.none() | st.integers(0, len(WEIGHTS) - 1))
def test_what_is_here_is_kept_up_to_its_first_wrong_piece(
    here: Node, there: Node, identity: tuple[ssl.SSLContext, str], here_bytes: int, wrong: int | None
) -> None:
    Path(here.layout.blob(DIGEST[7:])).unlink(missing_ok=True)
    content = bytearray(WEIGHTS[:here_bytes])
    if wrong is not None and wrong < here_bytes:
        content[wrong] ^= 1
    part(here).write_bytes(content)
    with door(there, identity) as wish:
        fetched = fetching(here).run(wish)
    if fetched.left is not None:  # the wrong byte was in a piece that was not whole: it is found when it ends
        assert wrong is not None
        assert fetched.left.offset == wrong // PIECE * PIECE == part(here).stat().st_size
        with door(there, identity) as wish:
            fetched = fetching(here).run(wish)
    assert fetched.left is None
    assert landed(here) == WEIGHTS


def test_a_wrong_piece_is_refused_at_once_and_what_came_before_it_is_kept(
    here: Node, identity: tuple[ssl.SSLContext, str]
) -> None:
    bad = bytearray(WEIGHTS)
    bad[4500] ^= 1
    giver = Scripted(identity[0], b"OK %d\n" % len(bad) + bytes(bad))
    with giver.listening(wish_for(identity[1])) as wish:
        fetched = fetching(here).run(wish)
    assert fetched.left is not None
    assert (fetched.left.offset, fetched.reached) == (4000, True)
    assert "piece" in fetched.why
    assert part(here).read_bytes() == WEIGHTS[:4000]


def test_without_pieces_a_wrong_blob_is_dropped_at_its_end(here: Node, identity: tuple[ssl.SSLContext, str]) -> None:
    giver = Scripted(identity[0], b"OK %d\n" % len(WEIGHTS) + WEIGHTS[::-1])
    with giver.listening(wish_for(identity[1])) as wish:
        fetched = fetching(here).run(replace(wish, pieces=()))
    assert fetched.left is not None
    assert (fetched.left.offset, landed(here), part(here).exists()) == (0, None, False)


def test_of_a_giver_that_dies_in_the_middle_the_pieces_that_were_right_stay(
    here: Node, identity: tuple[ssl.SSLContext, str]
) -> None:
    giver = Scripted(identity[0], b"OK %d\n" % len(WEIGHTS) + WEIGHTS[:3300])
    with giver.listening(wish_for(identity[1])) as wish:
        fetched = fetching(here).run(wish)
    assert fetched.left is not None
    assert (fetched.left.offset, fetched.received_bytes, fetched.reached) == (3000, 3000, True)
    assert part(here).read_bytes() == WEIGHTS[:3000]


def test_what_a_peer_sent_of_a_blob_without_pieces_never_stands_before_what_the_laptop_sends(
    here: Node, identity: tuple[ssl.SSLContext, str]
) -> None:
    part(here).write_bytes(WEIGHTS[:1500])
    giver = Scripted(identity[0], b"OK %d\n" % (len(WEIGHTS) - 1500) + b"made up" * 900)
    with giver.listening(replace(wish_for(identity[1]), pieces=())) as wish:
        fetched = fetching(here).run(wish)
    assert fetched.left is not None
    assert fetched.left.offset == 1500
    assert part(here).read_bytes() == WEIGHTS[:1500]


@pytest.mark.parametrize("said", [b"", b"OK 1\n", b"OK 99999999\n", b"\x00" * 300, b"NO it is not here\n", b"OK"])
def test_odd_answers_change_nothing(here: Node, identity: tuple[ssl.SSLContext, str], said: bytes) -> None:
    part(here).write_bytes(WEIGHTS[:700])
    giver = Scripted(identity[0], said)
    with giver.listening(wish_for(identity[1])) as wish:
        fetched = fetching(here).run(wish)
    assert fetched.left is not None
    assert fetched.left.offset == 700
    assert fetched.why


def test_a_wrong_key_is_told_nothing(here: Node, identity: tuple[ssl.SSLContext, str]) -> None:
    giver = Scripted(identity[0], b"OK 1\n")
    with giver.listening(wish_for("b" * 64)) as wish:
        fetched = fetching(here).run(wish)
    assert "another key" in fetched.why
    assert not fetched.reached
    assert giver.asked in ([], [b""])


def test_nobody_there_is_said_and_not_raised(here: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    fetched = fetching(here).run(Fetch(digest=DIGEST, host="127.0.0.1", port=port, pin="", token=TOKEN))
    assert "cannot be reached" in fetched.why
    assert not fetched.reached


@pytest.mark.parametrize("wrong", [{"token": "f" * 32}, {"token": "x y"}, {"digest": sha(b"other").digest}])
def test_a_giver_gives_nothing_without_its_token_and_nothing_else(
    there: Node, identity: tuple[ssl.SSLContext, str], wrong: dict[str, str]
) -> None:
    Path(there.layout.blob(sha(b"other").hex)).write_bytes(b"other")
    with door(there, identity) as wish:
        wish = replace(wish, **wrong)
        said = ask(wish, f"GET {wish.token} {wish.digest[7:]} 0".encode())
    assert said in (b"", b"NO it is not here\n")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.binary(max_size=400))
def test_strangers_who_say_anything_hear_nothing(
    there: Node, identity: tuple[ssl.SSLContext, str], said: bytes
) -> None:
    with door(there, identity) as wish:
        assert ask(wish, said) == b""


def ask(wish: Fetch, said: bytes) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    heard = b""
    with (
        socket.create_connection((wish.host, wish.port), timeout=10) as raw,
        context.wrap_socket(raw) as line,
    ):
        try:
            line.sendall(said + b"\n")
            while not heard.endswith(b"\n") and (more := line.recv(4096)):
                heard += more
        except OSError:
            pass
    return heard


def test_a_giver_has_no_more_takers_than_it_may_and_strangers_take_no_place(
    here: Node, there: Node, identity: tuple[ssl.SSLContext, str]
) -> None:
    with door(there, identity, most_takers=0) as wish:
        fetched = fetching(here).run(wish)
    assert (fetched.why, fetched.left is not None) == ("it gives to others now", True)
    with door(there, identity, most_takers=1) as wish:
        with socket.create_connection((wish.host, wish.port)):
            assert fetching(here).run(wish).left is None


def test_all_takers_together_get_the_rate_and_no_more() -> None:
    clock = FakeClock()
    throttle = Throttle(clock=clock, bytes_per_second=100)
    began = clock.monotonic()
    for _ in range(11):
        throttle.take(50)
    assert clock.monotonic() - began == pytest.approx(5.0)
    free = Throttle(clock=clock)
    free.take(10**12)
    assert clock.monotonic() - began == pytest.approx(5.0)


def test_leaving_cuts_who_is_being_served(here: Node, there: Node, identity: tuple[ssl.SSLContext, str]) -> None:
    stuck = threading.Event()

    class Hanging(FakeClock):
        def sleep(self, seconds: float) -> None:
            stuck.wait(10)

    throttle = Throttle(clock=Hanging(), bytes_per_second=1)
    throttle.take(1)  # the next one waits
    said: list[Fetched] = []
    with door(there, identity, throttle=throttle) as wish:
        thread = threading.Thread(target=lambda: said.append(fetching(here).run(wish)), daemon=True)
        thread.start()
        while not part(here).exists():
            threading.Event().wait(0.01)
    thread.join(10)
    stuck.set()
    assert [one.left is not None for one in said] == [True]


def test_a_whole_conversation_gives_and_one_fetches_into_place(tmp_path: Path, here: Node, there: Node) -> None:
    there = adopted_with_openssl(there)
    giver = Line()
    thread = threading.Thread(target=giver.run, args=(there,), daemon=True)
    thread.start()
    giver.say(frame(Give(trees=(tree(there),), token=TOKEN, host="127.0.0.1")))
    where = giver.hear(Giving)
    wish = Fetch(digest=DIGEST, host="127.0.0.1", port=where.port, pin=where.pin, token=TOKEN)
    said = talk(here, frame(Stow(trees=(tree(here),))) + frame(wish) + frame(Still()) + frame(Seal()))
    assert of(Fetched, said).left is None
    assert of(Stowed, said).paths == (tree(here).path,)
    assert Path(tree(here).path, "a.safetensors").read_bytes() == WEIGHTS
    giver.say(frame(Still()) + frame(Bye()))
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", where.port), timeout=5)
    assert not list(Path(there.layout.root, "state").glob("*giv*"))


def test_a_giver_that_hears_nothing_any_more_stops_giving(there: Node) -> None:
    """A laptop that sleeps says nothing, and hangs up nothing."""
    there = adopted_with_openssl(there)
    giver = Line()
    thread = threading.Thread(target=giver.run, args=(there,), daemon=True)
    thread.start()
    giver.say(frame(Give(trees=(tree(there),), token=TOKEN, host="127.0.0.1", seconds=0.05)))
    where = giver.hear(Giving)
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", where.port), timeout=5)


def test_a_node_that_is_taken_over_while_it_fetches_stops_at_once_and_keeps_what_is_sure(
    here: Node, there: Node, identity: tuple[ssl.SSLContext, str]
) -> None:
    part(here).write_bytes(WEIGHTS[:2500])
    asked: list[None] = []

    def proceed() -> None:
        asked.append(None)
        if part(here).stat().st_size > 2500 or len(asked) > 4:
            raise Problem("the node was taken over", code="stolen")

    with door(there, identity) as wish:
        with pytest.raises(Problem, match="taken over"):
            replace(fetching(here), proceed=proceed).run(wish)
    kept = part(here).read_bytes()
    assert kept == WEIGHTS[: len(kept)]
    assert len(kept) >= 2500
    with door(there, identity) as wish:
        assert fetching(here).run(wish).left is None


def test_who_may_not_be_given_from_or_fetched_is_refused(here: Node) -> None:
    foreign = replace(tree(here), path=f"{here.layout.root}/models/mine")
    assert of(Failed, talk(here, frame(Give(trees=(foreign,), token=TOKEN)))).code == "unsafe"
    assert of(Failed, talk(here, frame(Give(trees=(tree(here),), token="")))).code == "protocol"
    wish = Fetch(digest=sha(b"other").digest, host="127.0.0.1", port=1, pin="")
    assert of(Failed, talk(here, frame(Stow(trees=(tree(here),))) + frame(wish))).code == "protocol"
    assert of(Failed, talk(here, frame(wish))).code == "protocol"


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=60),
    piece=st.integers(1, 20),
    known=st.integers(0, 60),
    cuts=st.lists(st.integers(1, 30), max_size=6),
    wrong=st.none() | st.integers(0, 59),
)
def test_whatever_grows_is_right_up_to_where_it_is_known(
    content: bytes, piece: int, known: int, cuts: list[int], wrong: int | None
) -> None:
    listed = pieces(content, piece)[:known]
    sent = bytearray(content)
    if wrong is not None and wrong < len(content):
        sent[wrong] ^= 1
    file = io.BytesIO()
    growing = Growing(file=file, size=len(content), pieces=listed, piece_bytes=piece)
    blocks, at = [], 0
    for cut in [*cuts, len(content)]:
        blocks.append(bytes(sent[at : at + cut]))
        at += cut
    try:
        for block in blocks:
            growing.grow(block)
    except PeerError:
        assert wrong is not None
        assert growing.at == wrong // piece * piece
    assert file.getvalue()[: growing.at] == bytes(sent[: growing.at])
    assert len(file.getvalue()) == growing.at
    assert growing.sha256 == hashlib.sha256(sent[: growing.at]).hexdigest()
    whole = [number for number in range(len(listed)) if (number + 1) * piece <= growing.at]
    assert all(file.getvalue()[n * piece : (n + 1) * piece] == content[n * piece : (n + 1) * piece] for n in whole)


def adopted_with_openssl(node: Node) -> Node:
    node.mac.programs["/usr/bin/openssl"] = lambda words: SystemHost().run(words)
    return node


class Line:
    """Both ends of a conversation that goes on."""

    def __init__(self) -> None:
        import os

        self._to_node, self._say = os.pipe()
        self._hear, self._from_node = os.pipe()
        self._heard = b""

    def run(self, node: Node) -> None:
        import os

        from fleet.node.sync.frames import Pipe, Wire
        from fleet.node.sync.session import Session

        pipe = Pipe(self._to_node)
        with os.fdopen(self._from_node, "wb") as out:
            wire = Wire(io.BufferedReader(pipe), out, pipe=pipe)
            Session(machine=node.machine, wire=wire, state_id="-", run_id="r1").run()

    def say(self, raw: bytes) -> None:
        import os

        os.write(self._say, raw)

    def hear(self, kind: type) -> Giving:
        import os

        from fleet.vocabulary.contracts.codec import decode

        while b'"kind":"giving"' not in self._heard or not self._heard.endswith(b"}\n"):
            more = os.read(self._hear, 65536)
            assert more, self._heard
            self._heard += more
        found: Giving = decode(self._heard.splitlines()[-1], kind)
        return found
