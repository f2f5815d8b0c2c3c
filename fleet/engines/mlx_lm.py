"""`mlx_lm server`: the default engine. Pure; everything here was recorded from mlx-lm 0.32.2 (mlx/FACTS section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.engines.engine import Capabilities, ErrorKind, Probe, RequestRefused, UpstreamError, UpstreamFacts
from fleet.engines.error_text import read_error
from fleet.engines.mlx_lm_messages import plain_messages, plain_tools
from fleet.engines.mlx_lm_options import option_words
from fleet.engines.openai_request import refuse_choices, refuse_remote_images, shaped
from fleet.engines.spec import EngineCommand, SidecarSpec
from fleet.errors import ConfigError
from fleet.traffic.work import Work

DEFAULT_MODEL = "default_model"
"""The server's name for the model of its command line. Any other is loaded from disk or the hub: never send one."""

_LOADS_SOMETHING = frozenset({"adapters", "draft_model", "num_draft_tokens", "role_mapping"})
_NOT_SENT = _LOADS_SOMETHING | {"seed"}
_OURS = ("HF_HUB_OFFLINE", "HF_HOME")
_LOAD_FAILURES = (
    "cached snapshot folder",
    "hf_hub_offline",
    "repository not found",
    "[errno 2]",
    "config.json",
    "safetensors",
    "model type",
    "local path",
)


class MlxLm:
    """Apple's own server: batches, has no authentication, no metrics, no idea of other nodes."""

    name = "mlx_lm"
    capabilities = Capabilities(works=(Work.CHAT, Work.COMPLETIONS), batching=True, tools=True, distributed=True)
    pooled = False
    live = Probe(method="GET", path="/health")

    def ready(self, model: str) -> Probe:
        """A completion of one token: /health says 200 before the model is loaded."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "ping"}],
            "max_tokens": 1,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return Probe(method="POST", path="/v1/chat/completions", body=body)

    def command(self, spec: SidecarSpec) -> EngineCommand:
        """`-m mlx_lm server ...` on loopback, offline. Raises ConfigError.

        `HF_HOME/hub` must exist: without it /v1/models answers 200 with an empty body.
        """
        for name in _OURS:
            if name in spec.environment:
                raise ConfigError(
                    f"sidecar {spec.name!r}: environment {name} is fleet's own",
                    hint="a sidecar never fetches: weights come from the `model` task",
                )
        argv = ("-m", "mlx_lm", "server", "--model", spec.model_path, "--host", "127.0.0.1", "--port", str(spec.port))
        return EngineCommand(
            # No page's origin is called "none". The server's default lets every web page drive it.
            argv_tail=(*argv, "--allowed-origins", "none", *option_words(spec)),
            environment={**spec.environment, "HF_HUB_OFFLINE": "1", "HF_HOME": spec.hub_dir},
            directories=(spec.hub_dir, f"{spec.hub_dir}/hub"),
        )

    def normalize(
        self,
        request: Mapping[str, Any],
        upstream: UpstreamFacts,
        *,
        work: Work = Work.CHAT,
        stream: bool = True,  # noqa: ARG002 (a unary request runs to its end when its client is gone: never sent)
    ) -> dict[str, Any]:
        """The request to send: always a stream. Raises RequestRefused.

        What makes the server load or fetch something goes, and so does `seed`: it ends batching for everybody.
        """
        refuse_choices(request)
        if work is Work.EMBEDDINGS:
            raise RequestRefused("this model makes no embeddings", param="model", code="unsupported_surface")
        out = shaped(request, upstream, work=work, stream=True, without=_NOT_SENT)
        if work is Work.COMPLETIONS:
            out["prompt"] = _one_text(out["prompt"])
            return out
        messages = plain_messages(out["messages"])
        if messages is not out["messages"]:  # else there is no list of parts, and no image in it
            refuse_remote_images(messages)
            out["messages"] = messages
        tools = out.get("tools")
        if out.get("tool_choice") == "none":  # the server does not read it, and would call
            out.pop("tools", None)
            del out["tool_choice"]
        elif isinstance(tools, list):
            out["tools"] = plain_tools(tools)
        return out

    def map_error(self, status: int, body: bytes) -> UpstreamError:
        """By text: the server uses 404 for everything past parsing."""
        said = read_error(body)
        text = said.message.lower()
        if "generation thread died" in text or status == 503:
            return UpstreamError(
                kind=ErrorKind.UNAVAILABLE,
                message="the model's server is not able to generate",
                retryable=True,
                eject=True,
                detail=said.message,
            )
        if status == 404 and text == "not found":
            return UpstreamError(
                kind=ErrorKind.MISCONFIGURED,
                message="the model's server does not offer this surface",
                retryable=True,
                detail=said.message,
            )
        if status == 404 and any(sign in text for sign in _LOAD_FAILURES):
            return UpstreamError(
                kind=ErrorKind.MISCONFIGURED,
                message="the model's server could not load its model",
                retryable=True,
                eject=True,
                detail=said.message,
            )
        if status in (400, 404):
            message = said.message or "the model's server refused the request"
            return UpstreamError(kind=ErrorKind.BAD_REQUEST, message=message, retryable=False, detail=said.message)
        return UpstreamError(
            kind=ErrorKind.BROKEN,
            message=f"the model's server answered {status}",
            retryable=True,
            detail=said.message,
        )


def _one_text(prompt: Any) -> str:
    """The one text that the server takes. It fails on a list of token ids, and answers a list of texts as one."""
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise RequestRefused("this model takes one text per request: 'prompt' must be text", param="prompt")
    return prompt
