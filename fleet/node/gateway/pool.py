"""Connections to upstreams: opened by happy eyeballs, checked against their pin, kept while they are good."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohappyeyeballs

from fleet.node.gateway.tls import WrongKey, check_pin, client_context
from fleet.node.gateway.wire import Wire
from fleet.vocabulary.hosts import is_address

_IDLE_SECONDS = 30.0
_MOST_IDLE = 512
_EYEBALLS_SECONDS = 0.25


class Peer(NamedTuple):
    """Who is at the other end. `pin` replaces names and authorities; without one, those of the system are asked."""

    host: str
    port: int
    tls: bool
    pin: str | None


def peer_of(url: str, pin: str | None) -> Peer:
    """The peer of a base URL."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Peer(parts.hostname or "", parts.port or (443 if tls else 80), tls, pin)


def _numeric(peer: Peer) -> bool:
    """Whether the host is an address, which no loop asks a resolver for.

    Names are asked for in a few threads, and a resolver that hangs holds them all. Our own machines do not wait there.
    """
    return is_address(peer.host)


class Pool:
    """Idle connections by peer, the youngest first. Raises OSError, ssl.SSLError, WrongKey and TimeoutError."""

    def __init__(self) -> None:
        self._idle: dict[Peer, list[Wire]] = {}
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def idle(self, peer: Peer) -> Wire | None:
        """A connection that served before, when there is a good one."""
        wires = self._idle.get(peer)
        while wires:
            wire = wires.pop()
            if wire.usable:
                return wire
            wire.cut()
        return None

    async def open(self, peer: Peer, *, seconds: float) -> Wire:
        """A new connection; its pin has been checked."""
        async with asyncio.timeout(seconds):
            return await self._connect(peer)

    def keep(self, peer: Peer, wire: Wire) -> None:
        """Take back a connection that may serve again."""
        wires = self._idle.setdefault(peer, [])
        if not wire.usable or len(wires) >= _MOST_IDLE:
            wire.cut()
            return
        loop = asyncio.get_running_loop()
        wire.idle_since = loop.time()
        wires.append(wire)
        if self._sweeper is None:
            self._sweeper = loop.call_later(_IDLE_SECONDS, self._sweep, loop)

    def close(self) -> None:
        """Close what is idle."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for wires in self._idle.values():
            for wire in wires:
                wire.cut()
        self._idle.clear()

    async def _connect(self, peer: Peer) -> Wire:
        loop = asyncio.get_running_loop()
        context = self._context(pinned=peer.pin is not None) if peer.tls else None
        name = peer.host if peer.tls else None
        if _numeric(peer):  # nothing to choose from, and half as dear
            _, wire = await loop.create_connection(Wire, peer.host, peer.port, ssl=context, server_hostname=name)
        else:
            found = await loop.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
            sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_EYEBALLS_SECONDS, loop=loop)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, wire = await loop.create_connection(Wire, sock=sock, ssl=context, server_hostname=name)
            except BaseException:
                sock.close()
                raise
        if peer.pin is not None:
            try:
                check_pin(wire.transport, peer.pin)
            except WrongKey:
                wire.cut()
                raise
        return wire

    def _context(self, *, pinned: bool) -> ssl.SSLContext:
        context = self._contexts.get(pinned)
        if context is None:
            context = self._contexts[pinned] = client_context(pinned=pinned)
        return context

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what was idle for long."""
        before = loop.time() - _IDLE_SECONDS
        for peer, wires in list(self._idle.items()):
            kept = [wire for wire in wires if wire.usable and wire.idle_since > before]
            for wire in wires:
                if wire not in kept:
                    wire.cut()
            if kept:
                self._idle[peer] = kept
            else:
                del self._idle[peer]
        self._sweeper = loop.call_later(_IDLE_SECONDS / 2, self._sweep, loop) if self._idle else None
