"""A blob from another node: by pieces that are checked as they come, behind what is here already."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fleet.node.sync.blobs import Blobs
from fleet.node.sync.disk import make_last
from fleet.node.sync.problem import Problem
from fleet.node.sync.staging import Staging
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.contracts.peers import PIECE_BYTES, Fetch, Fetched
from fleet.vocabulary.contracts.sync import Missing, Progress

_CHUNK_BYTES = 256 * 1024
_CONNECT_SECONDS = 5.0
_WAIT_SECONDS = 30.0
_LINE_BYTES = 256


class PeerError(Exception):
    """The other node did not give what it should have. `reached`: it was there, and was the right one."""

    def __init__(self, why: str, *, reached: bool = True) -> None:
        super().__init__(why)
        self.reached = reached


@dataclass(kw_only=True)
class Growing:
    """A `.part` that grows, with the hash of all of it and of the piece that it is at.

    Where a piece is not what it should be, the file ends before it again. `sure` is how much of it may stay when it
    is not grown to its end: whole pieces that were right, and what was there before.
    """

    file: BinaryIO
    size: int
    pieces: tuple[str, ...]
    piece_bytes: int = PIECE_BYTES
    at: int = 0
    sure: int = 0

    def __post_init__(self) -> None:
        self._whole = hashlib.sha256()
        self._before_piece = self._whole.copy()
        self._piece = hashlib.sha256()

    def take_stock(self, seen: Callable[[int], None]) -> None:
        """Hash what is there already; drop it from the first wrong piece on."""
        while self.at < self.size:
            block = self.file.read(min(_CHUNK_BYTES, self._left_of_piece, self.size - self.at))
            if not block:
                break
            if not self._add(block):
                break
            seen(len(block))
        self.sure = self.at
        self._cut()

    def grow(self, block: bytes) -> None:
        """Take the next bytes. Raises PeerError, with the file cut back, when they end a wrong piece; and OSError."""
        view = memoryview(block)
        while view:
            now = view[: self._left_of_piece]
            self.file.write(now)
            if not self._add(now):
                self._cut()
                raise PeerError(f"the piece at byte {self.at} is not what it should be")
            view = view[len(now) :]

    def give_up(self) -> None:
        """Keep only what is sure: the laptop goes on behind it, and could not tell what a peer made up."""
        self.at = min(self.at, self.sure)
        self._cut()

    @property
    def sha256(self) -> str:
        """Of everything so far."""
        return self._whole.hexdigest()

    @property
    def _left_of_piece(self) -> int:
        return self.piece_bytes - self.at % self.piece_bytes

    def _add(self, block: bytes | memoryview) -> bool:
        """Count and hash bytes that do not reach beyond the piece; whether the piece is right, as far as is known."""
        self._whole.update(block)
        self._piece.update(block)
        self.at += len(block)
        if self.at % self.piece_bytes and self.at < self.size:
            return True
        number = (self.at - 1) // self.piece_bytes
        known = number < len(self.pieces)
        right = not known or hmac.compare_digest(self._piece.hexdigest(), self.pieces[number])
        self._piece = hashlib.sha256()
        if right:
            self._before_piece = self._whole.copy()
            self.sure = self.at if known else self.sure
        else:
            self._whole = self._before_piece.copy()
            self.at = number * self.piece_bytes
        return right

    def _cut(self) -> None:
        self.file.flush()
        self.file.truncate(self.at)
        self.file.seek(self.at)


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """Carries out one Fetch. `proceed` is asked all along, and raises to stop it; `told` hears how far it is."""

    blobs: Blobs
    proceed: Callable[[], None]
    told: Callable[[Progress], None]
    piece_bytes: int = PIECE_BYTES

    def run(self, wish: Fetch) -> Fetched:
        """Get the blob, or as much of it as comes. Raises Problem, and OSError for our own disk's troubles."""
        blob = self.blobs.wanted().get(wish.digest)
        if blob is None or blob.secret:
            raise Problem(f"blob {wish.digest} was not asked for", code="protocol")
        if self.blobs.landed(blob):
            return Fetched(digest=blob.digest)
        staging = Staging(total=blob.size, told=self.told, clock=self.blobs.machine.clock)
        staging.begin(f"fetch {wish.digest[7:19]} from {wish.host}")
        with _appending(self.blobs, blob) as file:
            growing = Growing(file=file, size=blob.size, pieces=wish.pieces, piece_bytes=self.piece_bytes)
            growing.take_stock(self._counting(staging))
            before, why, reached = growing.at, "", True
            try:
                self._fill(growing, wish, blob, self._counting(staging))
            except PeerError as error:
                why, reached = str(error), error.reached
                growing.give_up()
            except BaseException:
                growing.give_up()
                raise
            finally:
                file.flush()
                make_last(file.fileno())
        received = max(0, growing.at - before)
        if growing.at < blob.size:
            left = Missing(digest=blob.digest, offset=growing.at)
            return Fetched(digest=blob.digest, received_bytes=received, left=left, reached=reached, why=why)
        if not hmac.compare_digest(growing.sha256, blob.hex):
            self.blobs.drop(blob)
            why = "all of it came, and is not what it should be"
            return Fetched(digest=blob.digest, received_bytes=received, left=Missing(digest=blob.digest), why=why)
        self.blobs.land(blob)
        return Fetched(digest=blob.digest, received_bytes=received)

    def _counting(self, staging: Staging) -> Callable[[int], None]:
        def count(size: int) -> None:
            self.proceed()
            staging.wrote(size)

        return count

    def _fill(self, growing: Growing, wish: Fetch, blob: Blob, count: Callable[[int], None]) -> None:
        if growing.at == blob.size:
            return
        with _to_peer(wish) as line:
            with _peer_errors():
                line.sendall(b"GET %b %b %d\n" % (wish.token.encode(), blob.hex.encode(), growing.at))
                head = _read_line(line)
            if head != b"OK %d\n" % (blob.size - growing.at):
                said = re.fullmatch(rb"NO ([ -~]+)\n", head)
                raise PeerError(said[1].decode() if said else "its answer makes no sense")
            while growing.at < blob.size:
                with _peer_errors():
                    block = line.recv(min(_CHUNK_BYTES, blob.size - growing.at))
                if not block:
                    raise PeerError("the connection ended")
                growing.grow(block)
                count(len(block))


@contextlib.contextmanager
def _to_peer(wish: Fetch) -> Iterator[ssl.SSLSocket]:
    """A line to the very process that the laptop spoke with: nothing is said before its certificate is known."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin below is the check
    try:
        raw = socket.create_connection((wish.host, wish.port), timeout=_CONNECT_SECONDS)
    except OSError as error:
        raise PeerError(f"{wish.host} cannot be reached: {error.strerror or error}", reached=False) from None
    with raw:
        try:
            line = context.wrap_socket(raw, server_hostname=None)
        except OSError as error:
            raise PeerError(f"no TLS with {wish.host}: {error}", reached=False) from None
        with line:
            seen = hashlib.sha256(line.getpeercert(binary_form=True) or b"").hexdigest()
            if not hmac.compare_digest(seen, wish.pin):
                raise PeerError(f"{wish.host} shows another key than the node that should give", reached=False)
            line.settimeout(_WAIT_SECONDS)
            yield line


@contextlib.contextmanager
def _peer_errors() -> Iterator[None]:
    """What goes wrong on the line is the peer's; what goes wrong elsewhere is not."""
    try:
        yield
    except OSError as error:
        raise PeerError(f"the connection broke: {error.strerror or error}") from None


@contextlib.contextmanager
def _appending(blobs: Blobs, blob: Blob) -> Iterator[BinaryIO]:
    path = blobs.part(blob)
    blobs.machine.disk.directory(path.rsplit("/", 1)[0], mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        yield file


def _read_line(line: ssl.SSLSocket) -> bytes:
    """One line, cut where it is longer than any answer."""
    said = b""
    while not said.endswith(b"\n") and len(said) < _LINE_BYTES:
        more = line.recv(1)
        if not more:
            break
        said += more
    return said
