"""The node's own agent, over loopback, with its token: the gateway shows its snapshot to who may see it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from fleet.traffic.config import GatewayConfig
from fleet.traffic.openai_error import ApiError, Refused

_LONGEST_BYTES = 4 * 1024 * 1024
_SECONDS = 5.0


async def fetch_snapshot(session: aiohttp.ClientSession, config: GatewayConfig) -> bytes:
    """The agent's /v1/snapshot as JSON text. Raises Refused: 404 without an agent, 503 when it does not answer."""
    if config.agent_port is None:
        raise Refused(ApiError(status=404, message="no agent is configured on this node", code="no_agent"))
    headers = {"Accept-Encoding": "identity"}
    if config.agent_token_file is not None:
        headers["Authorization"] = f"Bearer {_token(config.agent_token_file)}"
    try:
        async with asyncio.timeout(_SECONDS):
            async with session.get(
                f"http://127.0.0.1:{config.agent_port}/v1/snapshot", headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(_LONGEST_BYTES)
                while more := await response.content.read(_LONGEST_BYTES):
                    body += more
                    if len(body) > _LONGEST_BYTES:
                        raise _unavailable("its snapshot is too long")
    except TimeoutError:
        raise _unavailable(f"it said nothing for {_SECONDS:g} s") from None
    except (aiohttp.ClientError, OSError):
        raise _unavailable("it cannot be reached") from None
    if response.status != 200:
        raise _unavailable(f"it answered {response.status}")
    return body


def _token(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        raise _unavailable("its token cannot be read") from None


def _unavailable(reason: str) -> Refused:
    return Refused(
        ApiError(
            status=503,
            message=f"the node's agent: {reason}",
            type="upstream_error",
            code="agent_unavailable",
            retry_after_seconds=5,
        )
    )
