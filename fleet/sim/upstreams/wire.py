"""How the bytes of an answer leave, with the faults of the wire: cut, stalled, byte by byte, with a false event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fleet.sim.upstreams.faults import Faults
from fleet.sim.upstreams.http import Exchange, Over


class Kind(Enum):
    """What an event of a stream is, to the faults."""

    TEXT = "text"
    FINISH = "finish"
    USAGE = "usage"
    DONE = "done"
    COMMENT = "comment"
    ERROR = "error"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Frame:
    """One event: its data without `data: `, or a comment without the colon. `tokens` it brings."""

    kind: Kind
    data: bytes
    tokens: int = 0


def troubled(frames: Iterable[Frame], faults: Faults, *, error: bytes) -> Iterator[Frame]:
    """The stream as it is sent: events missing, doubled, broken or false. `error` is the data of a failure midway."""
    texts = 0
    for frame in frames:
        if frame.kind is Kind.TEXT:
            if faults.midfail == texts:
                yield Frame(Kind.ERROR, error)
                return
            if faults.malformed == texts:
                yield Frame(Kind.MALFORMED, b'{"id": "chatcmpl-broken", "choices": [{"delta": {"content": "never')
            texts += 1
        elif frame.kind is Kind.FINISH:
            if faults.midfail is not None and faults.midfail >= texts:
                yield Frame(Kind.ERROR, error)
                return
            if faults.nofinish:
                continue
            if faults.dupfinish:
                yield frame
        if (faults.nousage and frame.kind is Kind.USAGE) or (faults.nodone and frame.kind is Kind.DONE):
            continue
        yield frame
        if faults.huge and texts == 1 and frame.kind is Kind.TEXT:
            yield Frame(Kind.COMMENT, b" " + b"x" * faults.huge)


def event(frame: Frame, faults: Faults) -> bytes:
    """The frame on the wire. `multiline` breaks the data where JSON allows it: readers join it by a newline again."""
    end = b"\r\n" if faults.crlf else b"\n"
    if frame.kind is Kind.COMMENT:
        return b":" + frame.data + end + end
    data = frame.data
    lines = [data[:1], data[1:-1], data[-1:]] if faults.multiline and data[:1] + data[-1:] == b"{}" else [data]
    return b"".join(b"data: " + line + end for line in lines) + end


class Wire:
    """The body of one answer. `chunked` frames it as HTTP/1.1 does; without, its end is that of the connection."""

    def __init__(self, exchange: Exchange, faults: Faults, *, chunked: bool = False) -> None:
        self._exchange = exchange
        self._faults = faults
        self._chunked = chunked
        self._sent = 0

    async def write(self, data: bytes) -> None:
        """Send, with the faults. Raises Over when nothing more may follow."""
        faults = self._faults
        limits = [limit for limit in (faults.cut, faults.stall) if limit is not None]
        limit = min(limits) if limits else None
        over = limit is not None and self._sent + len(data) >= limit
        kept = data[: limit - self._sent] if limit is not None and over else data
        await self._pass(kept)
        if over:
            await self._fail()

    async def end(self) -> None:
        """The body is complete."""
        if self._chunked:
            await self._exchange.send(b"0\r\n\r\n")
            self._exchange.keep = True

    async def _pass(self, data: bytes) -> None:
        alone = self._faults.split or self._faults.slow
        for piece in (data[at : at + 1] for at in range(len(data))) if alone else (data,):
            if not piece:
                continue
            await self._exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
            self._sent += len(piece)
            if self._faults.slow:
                await self._exchange.pause(self._faults.slow / 1000)
            elif alone:
                await asyncio.sleep(0)

    async def _fail(self) -> None:
        faults = self._faults
        if faults.stall is not None and (faults.cut is None or faults.stall <= faults.cut):
            await self._exchange.hang()
        if faults.how == "clean" and self._chunked:
            await self._exchange.send(b"0\r\n\r\n")
        self._exchange.hang_up(reset=faults.how == "rst")
        raise Over


async def before_headers(exchange: Exchange, faults: Faults) -> None:
    """What goes wrong before a word of the answer. Raises Over."""
    if faults.delay:
        await exchange.pause(faults.delay / 1000)
    if faults.hang:
        await exchange.hang()
    if faults.drop or faults.reset:
        exchange.hang_up(reset=faults.reset)
        raise Over


async def answer_json(
    exchange: Exchange, status: int, body: bytes | Mapping[str, Any], headers: Mapping[str, str], faults: Faults
) -> None:
    """A whole answer over HTTP/1.1, with the faults of the wire."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    await exchange.head(status, {**length, **headers})
    wire = Wire(exchange, faults)
    if data:
        await wire.write(data)
    exchange.keep = True
