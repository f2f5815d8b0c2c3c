"""An edge: the gateway of another node, as an upstream of a front. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.engines.chat_request import streamed
from fleet.engines.engine import Probe, UpstreamFacts
from fleet.engines.openai_compatible import OpenAICompatible


class Edge(OpenAICompatible):
    """fleet's own gateway beside a sidecar. It knows its engine: the request passes, and it normalises again."""

    name = "edge"

    def ready(self, model: str) -> Probe:  # noqa: ARG002 (one list tells of every model)
        """The edge proves its sidecars by completions itself, and says so in its list of models."""
        return Probe(method="GET", path="/v1/models")

    def normalize(self, request: Mapping[str, Any], upstream: UpstreamFacts) -> dict[str, Any]:
        """The request to send. Raises RequestRefused."""
        return streamed(request, upstream)
