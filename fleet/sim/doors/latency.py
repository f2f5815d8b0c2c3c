"""A slow link: bytes are carried on after half a round trip each way, without a limit on how many."""

from __future__ import annotations

import asyncio
import socket

READ_BYTES = 256 * 1024


async def slow_down(peer: socket.socket, round_trip_seconds: float) -> tuple[socket.socket, asyncio.Task[None]]:
    """Another socket that stands for `peer` with latency, and the task that carries the bytes.

    The pair is TCP on loopback, since SSH wants to know its peer's address.
    """
    loop = asyncio.get_running_loop()
    peer.settimeout(0)
    with socket.socket() as gate:
        gate.bind(("127.0.0.1", 0))
        gate.listen(1)
        gate.settimeout(0)
        near = socket.socket()
        near.settimeout(0)
        await loop.sock_connect(near, gate.getsockname())
        far, _ = await loop.sock_accept(gate)
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return far, loop.create_task(_relay(peer, near, round_trip_seconds / 2))


async def _relay(peer: socket.socket, near: socket.socket, delay_seconds: float) -> None:
    try:
        await asyncio.gather(_carry(peer, near, delay_seconds), _carry(near, peer, delay_seconds))
    finally:
        near.close()
        peer.close()


async def _carry(source: socket.socket, target: socket.socket, delay_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)

    async def deliver() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(target, data)

    async def collect() -> None:
        while True:
            data = await loop.sock_recv(source, READ_BYTES)
            await under_way.put((loop.time() + delay_seconds, data))
            if not data:
                return

    try:
        await asyncio.gather(deliver(), collect())
    except OSError:
        pass  # one side went away; the other sees it when the relay closes its sockets
