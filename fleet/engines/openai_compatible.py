"""A server that the operator runs (oMLX, LM Studio, Ollama, vllm-mlx, ...), known by its URL. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.engines.engine import Capabilities, ErrorKind, Probe, UpstreamError, UpstreamFacts
from fleet.engines.error_text import client_code, read_error
from fleet.engines.openai_request import refuse_remote_images, shaped
from fleet.engines.spec import EngineCommand, SidecarSpec
from fleet.errors import ConfigError
from fleet.traffic.work import Work


class OpenAICompatible:
    """Whatever speaks OpenAI's surfaces. What it has not, it refuses itself; `works` of the upstream says so before."""

    name = "openai_compatible"
    capabilities = Capabilities(
        works=tuple(Work), batching=True, seed=True, tools=True, structured=True, cancel_nonstream=True
    )
    pooled = True
    live = Probe(method="GET", path="/v1/models")

    def ready(self, model: str) -> Probe:
        """A completion of one token."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "ping"}],
            "max_tokens": 1,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return Probe(method="POST", path="/v1/chat/completions", body=body)

    def command(self, spec: SidecarSpec) -> EngineCommand:
        """Raises ConfigError: the operator starts it."""
        raise ConfigError(
            f"sidecar {spec.name!r}: an openai_compatible server is not started by fleet",
            hint="name its URL as an upstream, or use the engine mlx_lm",
        )

    def normalize(
        self, request: Mapping[str, Any], upstream: UpstreamFacts, *, work: Work = Work.CHAT, stream: bool = True
    ) -> dict[str, Any]:
        """The request to send. Raises RequestRefused. Remote images are refused: the server is inside our walls."""
        out = shaped(request, upstream, work=work, stream=stream)
        if work is Work.CHAT:
            refuse_remote_images(out["messages"])
        return out

    def map_error(self, status: int, body: bytes) -> UpstreamError:
        """By status; a refusal of fleet's own key is fleet's fault, never the client's."""
        said = read_error(body)
        kind, message, retryable = _meaning(status, said.message)
        theirs = kind is ErrorKind.BAD_REQUEST
        return UpstreamError(
            kind=kind,
            message=message,
            retryable=retryable,
            eject=status in (401, 402, 403),
            status=status if theirs and status in (413, 422) else None,
            detail=said.message,
            param=said.param if theirs else None,
            code=client_code(said) if theirs else None,
        )


def _meaning(status: int, said: str) -> tuple[ErrorKind, str, bool]:
    if status in (401, 402, 403):
        return ErrorKind.MISCONFIGURED, "the upstream refused the gateway's key", True
    if status == 404:
        return ErrorKind.MISCONFIGURED, "the upstream does not know its model", True
    if status in (408, 504):
        return ErrorKind.TIMEOUT, "the upstream took too long", True
    if status == 429:
        return ErrorKind.BUSY, "the upstream has too much to do", True
    if status in (503, 529):
        return ErrorKind.UNAVAILABLE, "the upstream cannot serve now", True
    if 400 <= status < 500:
        return ErrorKind.BAD_REQUEST, said or f"the upstream refused the request ({status})", False
    return ErrorKind.BROKEN, f"the upstream answered {status}", True
