"""From an HTTP body to a call: bounded reading, total parsing, errors in the caller's terms."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import HttpVersion11, web

from fleet.node.gateway.call import Call
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.failures import ClientGone
from fleet.node.gateway.models import model_not_found
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.dialects.dialect import Asked, Dialect
from fleet.traffic.keyring import HashedKey
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.names import Lane

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def new_id() -> str:
    """An id that no other request has."""
    return f"req_{secrets.token_hex(12)}"


def given_id(headers: Mapping[str, str]) -> str | None:
    """The id that a front gave the request: one id in the logs of every gateway on the way."""
    given = headers.get("x-fleet-request-id")
    return given if given is not None and _ID.fullmatch(given) else None


async def read_body(request: web.BaseRequest, *, longest_bytes: int, seconds: float) -> bytes:
    """The whole body. Raises Refused (413, 408, 400) and ClientGone."""
    if (request.content_length or 0) > longest_bytes:
        raise _too_long(longest_bytes)
    content = request.content
    parts: list[bytes] = []
    size = 0
    try:
        if content.is_eof():  # a small body arrives with its head: no timer for it
            part = content.read_nowait(-1)
            if len(part) > longest_bytes:
                raise _too_long(longest_bytes)
            return part
        await _invite(request)
        async with asyncio.timeout(seconds):
            while part := await content.readany():
                size += len(part)
                if size > longest_bytes:
                    raise _too_long(longest_bytes)
                parts.append(part)
    except TimeoutError:
        raise Refused(ApiError(status=408, message="the request did not arrive in time", code="timeout")) from None
    except web.RequestPayloadError:  # its text may quote the body
        message = "the body is not encoded as its headers say"
        raise Refused(ApiError(status=400, message=message, code="invalid_encoding")) from None
    except (web.PayloadAccessError, ConnectionError, OSError):
        raise ClientGone from None
    return b"".join(parts)


async def _invite(request: web.BaseRequest) -> None:
    """Ask for the body where the client waits for that: curl does for a second, before it sends 1 MB."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Refused."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(ApiError(status=400, message=f"the request is not JSON: {error}", code="invalid_json")) from None
    if not isinstance(data, dict):
        raise Refused(ApiError(status=400, message="the request must be a JSON object", code="invalid_json"))
    return data


def call_of(
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    dialect: Dialect,
    loaded: Loaded,
    upstreams: Upstreams,
    holder: HashedKey | None,
    named: str,
    size_bytes: int,
) -> Call:
    """What the client wants, on which route. `ROUTE@TICKET` is the route, with the ticket. Raises Refused."""
    asked = dialect.read(body)
    messages, most = asked.request.get("messages"), loaded.config.limits.messages
    if isinstance(messages, list) and len(messages) > most:
        message = f"{len(messages)} messages; this gateway takes {most}"
        raise Refused(ApiError(status=400, message=message, param="messages", code="too_many_messages"))
    route, suffix = loaded.route(asked.model), ""
    if route is None:
        name, _, suffix = (asked.model or "").rpartition("@")
        route = loaded.route(name) if name and suffix and loaded.config.policy is not None else None
    if route is None:
        raise Refused(model_not_found(loaded, asked.model or "default"))
    return Call(
        request_id=named,
        key=holder.name if holder is not None else "",
        dialect=dialect,
        asked=asked,
        route=route,
        model=asked.model or route.name,
        shape=upstreams.shape(asked, route, headers, lane=lane_of(asked, headers), size_bytes=size_bytes),
        headers=headers,
        size_bytes=size_bytes,
        suffix=suffix,
        holder=holder,
    )


def lane_of(asked: Asked, headers: Mapping[str, str]) -> Lane:
    """`x-fleet-lane: batch`, `{"fleet": {"lane": "batch"}}` or `"service_tier": "flex"`; else interactive."""
    said = headers.get("x-fleet-lane")
    if said is None:
        fleet = asked.original.get("fleet")
        said = fleet.get("lane") if isinstance(fleet, Mapping) else None
        if said is None and asked.original.get("service_tier") == "flex":
            said = Lane.BATCH
    return Lane.BATCH if said == Lane.BATCH else Lane.INTERACTIVE


def _too_long(longest_bytes: int) -> Refused:
    message = f"the request is longer than {longest_bytes} bytes"
    return Refused(ApiError(status=413, message=message, code="request_too_large"))
