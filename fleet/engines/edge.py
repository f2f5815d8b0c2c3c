"""An edge: the gateway of another node, as an upstream of a front. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleet.engines.engine import Capabilities, ErrorKind, Probe, UpstreamError, UpstreamFacts
from fleet.engines.error_text import read_error
from fleet.engines.openai_compatible import OpenAICompatible
from fleet.engines.openai_request import shaped
from fleet.traffic.work import Work

SERVES_NOBODY = ("draining", "no_upstream")
"""The codes with which a gateway says that no request for the model would be answered now."""


class Edge(OpenAICompatible):
    """fleet's own gateway beside a sidecar. It knows its engine: the request passes, and it normalises again."""

    name = "edge"
    capabilities = Capabilities(
        works=tuple(Work),
        batching=True,
        seed=True,
        tools=True,
        structured=True,
        cancel_nonstream=True,
        passes=("x-fleet-lane", "x-fleet-session"),
    )

    def ready(self, model: str) -> Probe:  # noqa: ARG002 (one list tells of every model)
        """The edge proves its sidecars by completions itself, and says so in its list of models."""
        return Probe(method="GET", path="/v1/models")

    def normalize(
        self, request: Mapping[str, Any], upstream: UpstreamFacts, *, work: Work = Work.CHAT, stream: bool = True
    ) -> dict[str, Any]:
        """The request to send. Raises RequestRefused."""
        return shaped(request, upstream, work=work, stream=stream)

    def map_error(self, status: int, body: bytes) -> UpstreamError:
        """As any server's; but when it says that it serves nobody, that is told apart from one request's trouble."""
        error = super().map_error(status, body)
        said = read_error(body).code
        return replace(error, code=said) if error.kind is ErrorKind.UNAVAILABLE and said in SERVES_NOBODY else error
