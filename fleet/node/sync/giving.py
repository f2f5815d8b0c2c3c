"""Weights for other nodes: a TLS listener that lives as long as one conversation with the laptop.

It gives blobs of the trees that the laptop named, to who shows the token, and nothing else. Reading is all it does:
what it gives may be in a release, on its way into one, or just arrived.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fleet.node.sync.disk import Disk
from fleet.node.sync.machine import Host, Machine
from fleet.node.sync.problem import Problem
from fleet.node.sync.throttle import Throttle
from fleet.vocabulary.contracts.desired import Tree
from fleet.vocabulary.contracts.peers import Give, Giving
from fleet.vocabulary.layout import NodeLayout

_ASKED = re.compile(rb"GET ([0-9a-f]{1,64}) ([0-9a-f]{64}) (\d{1,18})\n")
_LINE_BYTES = 256
_CHUNK_BYTES = 256 * 1024
_WAIT_SECONDS = 30.0
_STRANGERS = 16
_CONFIG = "[req]\nprompt = no\ndistinguished_name = name\n[name]\nCN = fleet-giver\n"


class Heeding:
    """A watcher with nothing to lose: whoever gives holds no lease."""

    def heard(self) -> None:
        """The laptop is there."""

    def look(self) -> None:
        """It says nothing for the moment."""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where the blobs of some trees are on this node."""

    layout: NodeLayout
    disk: Disk
    trees: tuple[Tree, ...]

    def open(self, digest: str) -> tuple[BinaryIO, int] | None:
        """The blob of that digest (64 hex digits) and its size; None when it is not here whole.

        It moves from its landing place into a new folder, which then gets its name: looked for in that order, it
        cannot be missed on its way.
        """
        for tree in self.trees:
            for file in tree.files:
                if file.blob.hex != digest or file.blob.secret:
                    continue
                for path in (
                    self.layout.blob(digest),
                    f"{tree.path}.new/{file.path}",
                    f"{tree.path}/{file.path}",
                ):
                    with contextlib.suppress(OSError):
                        opened = self.disk.open(path)
                        if opened.seek(0, 2) == file.blob.size:
                            return opened, file.blob.size
                        opened.close()
        return None


class Giver:
    """Serves a shelf. Use as a context manager: leaving it cuts everybody off."""

    def __init__(self, *, shelf: Shelf, wish: Give, context: ssl.SSLContext, throttle: Throttle) -> None:
        self._shelf = shelf
        self._wish = wish
        self._context = context
        self._throttle = throttle
        self._listener = _listen(wish.host)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._takers = 0
        self._over = False

    def __enter__(self) -> Giver:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._over = True
            for one in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)  # without a word of TLS: nobody waits for an answer
        self._listener.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        while not self._over:
            try:
                taker, _ = self._listener.accept()
            except OSError:
                if self._over or self._listener.fileno() < 0:
                    return
                continue
            with self._lock:
                if self._over or len(self._open) >= self._wish.most_takers + _STRANGERS:
                    taker.close()
                    continue
                self._open.add(taker)
            threading.Thread(target=self._serve, args=(taker,), daemon=True).start()

    def _serve(self, taker: socket.socket) -> None:
        """One connection to its end, in a thread of its own."""
        try:
            taker.settimeout(_WAIT_SECONDS)
            line = self._context.wrap_socket(taker, server_side=True, do_handshake_on_connect=False)
        except OSError:
            self._forget(taker)
            return
        with self._lock:
            self._open.add(line)
            self._open.discard(taker)  # an empty shell from here on
            over = self._over
        try:
            if not over:
                line.do_handshake()
                self._converse(line)
        except OSError:
            pass  # ssl.SSLError is one, too: whoever it was asks again, or elsewhere
        finally:
            self._forget(line)

    def _converse(self, line: ssl.SSLSocket) -> None:
        asked = self._asked(line)
        if asked is None:
            return
        with self._place() as free:  # of those who know the token
            if not free:
                line.sendall(b"NO it gives to others now\n")
                return
            while asked and self._answer(line, digest=asked[2].decode(), offset=int(asked[3])):
                asked = self._asked(line)

    def _asked(self, line: ssl.SSLSocket) -> re.Match[bytes] | None:
        """A question of somebody who knows the token; None at the end, and for anybody else."""
        asked = _ASKED.fullmatch(_read_line(line))
        return asked if asked and hmac.compare_digest(asked[1], self._wish.token.encode()) else None

    def _answer(self, line: ssl.SSLSocket, *, digest: str, offset: int) -> bool:
        """Send the rest of a blob; whether another question may follow."""
        found = self._shelf.open(digest)
        if found is None:
            line.sendall(b"NO it is not here\n")
            return True
        file, size = found
        with file:
            left = max(0, size - offset)
            file.seek(size - left)
            line.sendall(b"OK %d\n" % left)
            while left:
                block = file.read(min(left, _CHUNK_BYTES))
                if not block:
                    return False
                self._throttle.take(len(block))
                line.sendall(block)
                left -= len(block)
        return True

    def _forget(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)
        one.close()

    @contextlib.contextmanager
    def _place(self) -> Iterator[bool]:
        """Whether there is room for one more, held meanwhile."""
        with self._lock:
            free = self._takers < self._wish.most_takers
            self._takers += free
        try:
            yield free
        finally:
            with self._lock:
                self._takers -= free


@contextlib.contextmanager
def giving(machine: Machine, wish: Give) -> Iterator[Giving]:
    """Serve what is wished, and say where. Raises Problem where this node cannot."""
    if not re.fullmatch(r"[0-9a-f]{32,64}", wish.token):
        raise Problem("weights are given to who has a token only", code="protocol")
    shelf = Shelf(layout=machine.layout, disk=machine.disk, trees=wish.trees)
    context, pin = fresh_identity(machine.host, machine.layout.command("openssl"))
    throttle = Throttle(clock=machine.clock, bytes_per_second=wish.bytes_per_second)
    try:
        with Giver(shelf=shelf, wish=wish, context=context, throttle=throttle) as giver:
            yield Giving(port=giver.port, pin=pin)
    except OSError as error:
        raise Problem("this node cannot listen for others", code="giving", detail=str(error)) from error


def fresh_identity(host: Host, openssl: str) -> tuple[ssl.SSLContext, str]:
    """A key and a certificate that nobody else ever had, and the certificate's SHA-256. Raises Problem."""
    with tempfile.TemporaryDirectory(prefix="fleet-giving-") as folder:
        key, crt, config = (str(Path(folder, name)) for name in ("giver.key", "giver.crt", "giver.cnf"))
        Path(config).write_text(_CONFIG)
        for words in (
            (openssl, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key),
            (openssl, "req", "-new", "-x509", "-sha256", "-days", "30", "-key", key, "-config", config, "-out", crt),
        ):
            ran = host.run(words)
            if ran.code:
                raise Problem("openssl makes no key to give weights with", code="giving", detail=ran.said)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(crt, key)
            der = ssl.PEM_cert_to_DER_cert(Path(crt).read_text())
        except (OSError, ValueError) as error:
            raise Problem("the key to give weights with cannot be used", code="giving", detail=str(error)) from error
    return context, hashlib.sha256(der).hexdigest()


def _listen(host: str) -> socket.socket:
    """On that address where it is ours, else on every one: there is TLS, a token, and an end. Raises OSError.

    A name that is only this machine's own word for itself is no address for others.
    """
    with contextlib.suppress(OSError):
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        if host == address[0] or not str(address[0]).startswith(("127.", "::1")):
            return socket.create_server(address[:2], family=family)
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("0.0.0.0", 0))


def _read_line(line: ssl.SSLSocket) -> bytes:
    """What the other side asks; cut where it is longer than any question."""
    said = b""
    while not said.endswith(b"\n") and len(said) < _LINE_BYTES:
        more = line.recv(1)
        if not more:
            break
        said += more
    return said
