"""What config.json of a model says about the memory that a conversation costs. Pure, total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_BYTES_PER_NUMBER = 2
"""mlx_lm keeps keys and values in 16 bits unless told otherwise."""


@dataclass(frozen=True)
class ModelShape:
    """What is known; None = unknown, and `reason` says why there is no `kv_bytes_per_token`."""

    architecture: str | None = None
    context_tokens: int | None = None
    kv_bytes_per_token: int | None = None
    reason: str = ""


def shape_of(config: object) -> ModelShape:
    """The shape of a parsed config.json: layers x KV heads x head size x 2 (keys and values) x 2 bytes.

    Sliding-window and hybrid models get the full formula, which is never too little per token.
    """
    if not isinstance(config, Mapping):
        return ModelShape(reason="config.json is not an object")
    nested = config.get("text_config")
    text: Mapping[str, object] = nested if isinstance(nested, Mapping) else config
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else config.get("model_type")
    shape = ModelShape(
        architecture=first if isinstance(first, str) else None, context_tokens=_number(text, "max_position_embeddings")
    )
    if _number(text, "kv_lora_rank"):
        return _without(shape, "its attention keeps compressed keys (MLA), whose size depends on the server")
    layers, heads = _number(text, "num_hidden_layers"), _number(text, "num_attention_heads")
    kv_heads = _number(text, "num_key_value_heads") or heads
    hidden = _number(text, "hidden_size")
    size = _number(text, "head_dim") or (-(-hidden // heads) if hidden and heads else None)
    if not (layers and kv_heads and size):
        return _without(shape, "config.json does not say layers, heads and their size")
    return ModelShape(shape.architecture, shape.context_tokens, layers * kv_heads * size * 2 * _BYTES_PER_NUMBER)


def _without(shape: ModelShape, reason: str) -> ModelShape:
    return ModelShape(shape.architecture, shape.context_tokens, None, reason)


def _number(config: Mapping[str, object], name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
