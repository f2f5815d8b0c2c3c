"""Clients that ask for an endless stream and read nothing of it: what each costs the target."""

from __future__ import annotations

import contextlib
import socket
import time

from bench.gateway import processes
from bench.gateway.cases import Case
from bench.gateway.measure import Running
from bench.gateway.rows import Stalled
from bench.gateway.targets import MODEL

READERS = 100
_ENDLESS = Case("stalled_reader", READERS, rounds=1, chunks=1_000_000)
_WATCH_SECONDS = 4.0
_STATUS = b"HTTP/1.1 200"


def stall(running: Running) -> Stalled:
    """`readers` counts those that were answered 200; the growth is shared among them."""
    pids = running.family()
    before = processes.rss_mb(pids)
    processes.forget_peaks(pids)
    target = running.target
    body = _ENDLESS.body(target.dialect, MODEL)
    headers = "".join(f"{header}\r\n" for header in (*target.headers, *target.dialect.headers))
    head = f"POST {target.dialect.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(READERS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
            client.sendall(request)
            clients.append(client)
        time.sleep(_WATCH_SECONDS)
        answered = sum(_peek(client) == _STATUS for client in clients)
    growth = processes.peak_mb(pids) - before
    return Stalled(target=target.name, readers=answered, rss_mb_per_reader=growth / max(answered, 1))


def _peek(client: socket.socket) -> bytes:
    """The first bytes of the answer, left where they are."""
    try:
        return client.recv(len(_STATUS), socket.MSG_PEEK)
    except OSError:
        return b""
