"""A connection cut in the middle of an answer is reset: a server that looks only when it writes feels it at once."""

from __future__ import annotations

import asyncio

import pytest

from fleet.node.gateway.wire import Wire, head_of

ASKED = head_of("POST", "/", {"Host": "x", "Content-Length": "0"}) + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "reset"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\ndata: 1\n\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
    ],
    ids=["in the middle", "after the end"],
)
async def test_only_an_answer_that_goes_on_is_cut_by_a_reset(answer: bytes, *, reset: bool) -> None:
    felt: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        try:
            felt.set_result(bool(await reader.read()))
        except ConnectionResetError:
            felt.set_result(True)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port)
    await wire.ask(ASKED, b"")
    await wire.read()
    wire.cut()
    assert await asyncio.wait_for(felt, 60) is reset
    server.close()
