"""A client that sees every byte and every kind of end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Raw:
    """An answer as it came. `end` is fin, rst or open (still connected when the client stopped reading)."""

    data: bytes
    end: str
    reads: int

    @property
    def head(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode()

    @property
    def status(self) -> int:
        return int(self.head.split()[1]) if self.data else 0

    @property
    def headers(self) -> dict[str, str]:
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value for name, _, value in lines}

    @property
    def raw_body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def chunks(self) -> list[bytes]:
        found, rest = [], self.raw_body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            if not size or int(size, 16) == 0:
                break
            found.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return found

    @property
    def body(self) -> bytes:
        chunked = self.headers.get("transfer-encoding") == "chunked"
        return b"".join(self.chunks) if chunked else self.raw_body

    @property
    def whole(self) -> bool:
        """Whether HTTP itself says that the body is complete."""
        if self.headers.get("transfer-encoding") == "chunked":
            return self.raw_body.endswith(b"0\r\n\r\n")
        return len(self.raw_body) == int(self.headers.get("content-length", "-1"))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of every event, lines joined as SSE has it."""
        blocks = self.body.decode().replace("\r\n", "\n").split("\n\n")
        joined = ["\n".join(line[6:] for line in block.split("\n") if line.startswith("data: ")) for block in blocks]
        return [one for one in joined if one]

    @property
    def comments(self) -> list[str]:
        return [line for line in self.body.decode().splitlines() if line.startswith(":")]

    @property
    def parsed(self) -> list[Any]:
        return [json.loads(one) for one in self.events if one != "[DONE]"]

    @property
    def text(self) -> str:
        choices = [choice for one in self.parsed for choice in one.get("choices", [])]
        return "".join(one.get("text", one.get("delta", {}).get("content")) or "" for one in choices)

    @property
    def finishes(self) -> list[Any]:
        return [choice["finish_reason"] for one in self.parsed for choice in one.get("choices", [])]


async def ask(
    port: int,
    path: str,
    body: Any = None,
    *,
    method: str = "",
    headers: dict[str, str] | None = None,
    leave_after: bytes | None = None,
    patience: float = 5.0,
) -> Raw:
    """One request, read to its end, or until `leave_after` was read (b"" = at once); then the socket is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1",
        "Host: x",
        "Connection: close",
        f"Content-Length: {len(payload)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
    data, end, reads = b"", "open", 0
    try:
        async with asyncio.timeout(patience):
            while leave_after is None or leave_after not in data:
                piece = await reader.read(65536)
                if not piece:
                    end = "fin"
                    break
                data, reads = data + piece, reads + 1
                if leave_after is None and complete(data):
                    break
    except TimeoutError:
        pass
    except ConnectionResetError:
        end = "rst"
    finally:
        writer.close()
    return Raw(data, end, reads)


def complete(data: bytes) -> bool:
    """Whether an HTTP/1.1 answer has come to its end: a server that keeps the connection does not close it."""
    found = Raw(data, "open", 0)
    if b"\r\n\r\n" not in data or not data.startswith(b"HTTP/1.1"):
        return False
    return ("content-length" in found.headers or "transfer-encoding" in found.headers) and found.whole
