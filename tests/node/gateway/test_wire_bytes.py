"""One connection to an upstream, fed by hand: any split of an answer is the same answer, and no bytes break it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.node.gateway.wire import Broken, Wire

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class _Transport(asyncio.Transport):
    """Takes what is written; nothing comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def test_a_held_back_connection_is_not_usable_though_its_answer_is_complete() -> None:
    async def held() -> Wire:
        wire = Wire()
        wire.connection_made(_Transport())
        asking = asyncio.ensure_future(wire.ask(b"POST / HTTP/1.1\r\n\r\n", b""))
        await asyncio.sleep(0)
        wire.data_received(OK + b"Content-Length: 400000\r\n\r\n" + b"y" * 200_000)
        wire.data_received(b"y" * 200_000)
        await asking
        return wire

    wire = asyncio.run(held())
    assert (wire.complete, wire.usable) == (True, False)


async def _heard(pieces: list[bytes], *, ends: bool) -> tuple[int, dict[str, str], bytes, bool]:
    """What a wire makes of an answer in `pieces`."""
    wire = Wire()
    wire.connection_made(_Transport())
    asking = asyncio.ensure_future(wire.ask(b"POST / HTTP/1.1\r\n\r\n", b""))
    await asyncio.sleep(0)
    for piece in pieces:
        wire.data_received(piece)
    if ends:
        wire.connection_lost(None)
    await asking
    body = b""
    while not wire.complete or wire._chunks:  # a wire that waits for more would wait for ever here
        async with asyncio.timeout(60):
            part = await wire.read()
        if not part:
            break
        body += part
    return wire.status, wire.headers, body, wire.complete


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(at)]


BODIES = st.binary(max_size=300)
HEADERS = st.lists(
    st.tuples(
        st.from_regex(r"X-[A-Za-z0-9-]{1,12}", fullmatch=True), st.from_regex(r"[!-~][ -~]{0,20}[!-~]", fullmatch=True)
    ),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(
    BODIES, HEADERS, st.sampled_from(["length", "chunks", "end"]), st.lists(st.integers(1, 120), max_size=9), st.data()
)
def test_any_split_of_a_valid_answer_gives_the_same_answer(
    body: bytes, headers: list[tuple[str, str]], framing: str, sizes: list[int], data: st.DataObject
) -> None:
    head = OK + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)
    if framing == "length":
        answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    elif framing == "end":
        answer = head + b"\r\n" + body
    else:
        answer, rest = head + b"Transfer-Encoding: chunked\r\n\r\n", body
        for size in [*sizes, len(body)]:
            piece, rest = rest[:size], rest[size:]
            answer += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        answer += b"0\r\n\r\n"
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=40))
    status, got, said, complete = asyncio.run(_heard(_split(answer, cuts), ends=framing == "end"))
    assert (status, said, complete) == (200, body, True)
    assert {name.lower(): value for name, value in headers}.items() <= got.items()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", OK, CHUNKED, WHOLE, CHUNKED + b"5\r\n"]))
def test_no_bytes_crash_a_wire_or_make_a_framed_answer_complete_that_is_not(noise: bytes, before: bytes) -> None:
    async def feed() -> None:
        wire = Wire()
        wire.connection_made(_Transport())
        asking = asyncio.ensure_future(wire.ask(b"POST / HTTP/1.1\r\n\r\n", b""))
        await asyncio.sleep(0)
        wire.data_received(before + noise)
        wire.connection_lost(None)
        with suppress(Broken):
            await asking
            while await wire.read():
                pass

    asyncio.run(feed())
