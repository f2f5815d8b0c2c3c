"""The head of an HTTP request, as far as a listener that only answers GET needs it. Pure, strict and bounded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from operator import or_, xor

from fleet.vocabulary.secret import Secret

MOST_HEAD_BYTES = 8192
_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,2047}) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_ONCE = frozenset({"host", "authorization", "content-length", "transfer-encoding"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request head. Names of fields are in lower case."""

    method: str
    path: str
    fields: dict[str, str]
    keep_alive: bool
    query: str = ""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request gets no answer of ours. `close`: nothing more is read from this client."""

    status: int
    text: str
    close: bool = False


def parse_head(head: bytes) -> Request | Refusal:
    """The request of a head without its final empty line. Anything doubtful is refused, never guessed."""
    first, *rest = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        return Refusal(status=400, text="not a request line", close=True)
    fields: dict[str, str] = {}
    for raw in rest:
        field = _FIELD.fullmatch(raw)
        if field is None:
            return Refusal(status=400, text="not a header field", close=True)
        name = field[1].decode().lower()
        if name in fields and name in _ONCE:
            return Refusal(status=400, text=f"two fields {name}", close=True)
        fields[name] = field[2].decode("latin-1")
    if "transfer-encoding" in fields or fields.get("content-length", "0") != "0":
        return Refusal(status=413, text="no body is taken", close=True)
    connection = fields.get("connection", "").lower()
    keep = connection != "close" if line[3] == b"1" else connection == "keep-alive"
    path, _, query = line[2].decode().partition("?")
    return Request(method=line[1].decode(), path=path, fields=fields, keep_alive=keep, query=query)


def check(request: Request, *, port: int, token: Secret | None, open_paths: frozenset[str]) -> Refusal | None:
    """Why `request` may not be answered: another method, a Host that is not this listener, no token.

    A browser that was lured here sends another Host (DNS rebinding) and has no token; no CORS header ever answers it.
    """
    if request.method != "GET":
        return Refusal(status=405, text="GET only", close=True)
    host = request.fields.get("host")
    names = ("127.0.0.1", "localhost", "[::1]")
    if host is None or host.lower() not in {*names, *(f"{name}:{port}" for name in names)}:
        return Refusal(status=421, text="another host is meant")
    if request.path in open_paths:
        return None
    scheme, _, shown = request.fields.get("authorization", "").partition(" ")
    wanted = token.reveal().encode() if token else b""
    if not wanted or scheme.lower() != "bearer" or not _same(shown.strip().encode("latin-1"), wanted):
        return Refusal(status=401, text="a bearer token is needed")
    return None


def _same(one: bytes, other: bytes) -> bool:
    """Whether two secrets are equal, in a time that tells nothing but their lengths.

    Not hmac's: it brings OpenSSL along, 3.6 MB of the agent's memory.
    """
    return len(one) == len(other) and not reduce(or_, map(xor, one, other), 0)
