"""The node's own agent, over loopback, with its token: the gateway shows what it says to who may see it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from fleet.traffic.config import GatewayConfig
from fleet.traffic.openai_error import ApiError, Refused

_LONGEST_BYTES = 4 * 1024 * 1024
_SNAPSHOT_SECONDS = 5.0
_METRICS_SECONDS = 2.0


async def fetch_snapshot(session: aiohttp.ClientSession, config: GatewayConfig) -> bytes:
    """The agent's /v1/snapshot as JSON text. Raises Refused: 404 without an agent, 503 when it does not answer."""
    return await _fetch(session, config, "/v1/snapshot", seconds=_SNAPSHOT_SECONDS)


async def fetch_metrics(session: aiohttp.ClientSession, config: GatewayConfig) -> bytes:
    """The agent's /metrics. Raises Refused as well; soon, for a scraper waits."""
    return await _fetch(session, config, "/metrics", seconds=_METRICS_SECONDS)


async def _fetch(session: aiohttp.ClientSession, config: GatewayConfig, path: str, *, seconds: float) -> bytes:
    if config.agent_port is None:
        raise Refused(ApiError(status=404, message="no agent is configured on this node", code="no_agent"))
    headers = {"Accept-Encoding": "identity"}
    if config.agent_token_file is not None:
        headers["Authorization"] = f"Bearer {_token(config.agent_token_file)}"
    try:
        async with asyncio.timeout(seconds):
            async with session.get(
                f"http://127.0.0.1:{config.agent_port}{path}", headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(_LONGEST_BYTES)
                while more := await response.content.read(_LONGEST_BYTES):
                    body += more
                    if len(body) > _LONGEST_BYTES:
                        raise _unavailable(f"its {path} is too long")
    except TimeoutError:
        raise _unavailable(f"it said nothing for {seconds:g} s") from None
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
