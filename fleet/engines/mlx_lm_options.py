"""The options of `mlx_lm server` as data: which there are, what they may be, what fleet starts with. Pure.

Numbers and reasons: mlx/FACTS sections 3 and 5. mlx-lm 0.32.2.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping

from fleet.engines.spec import OptionValue, SidecarSpec
from fleet.errors import ConfigError
from fleet.vocabulary.units import GIB, parse_bytes

_COUNTS = ("prompt_cache_size", "decode_concurrency", "prompt_concurrency", "prefill_step_size", "max_tokens", "top_k")
_NUMBERS = ("temp", "top_p", "min_p")
_LOG_LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
_KNOWN = (
    *_COUNTS,
    *_NUMBERS,
    "prompt_cache_bytes",
    "log_level",
    "chat_template",
    "chat_template_args",
    "use_default_chat_template",
)
_REFUSED = {
    "trust_remote_code": "it runs code that comes with a model",
    "draft_model": "it ends batching, and its memory is not in the fit",
    "num_draft_tokens": "it belongs to draft_model, which ends batching",
    "kv_bits": "it ends batching: one request at a time",
    "kv_group_size": "it belongs to kv_bits, which ends batching",
    "quantized_kv_start": "it belongs to kv_bits, which ends batching",
    "adapter_path": "its memory is not in the fit; fuse the adapter into the model",
    "pipeline": "one model over several nodes comes with a later release",
    "model": "fleet sets it from the task's model",
    "host": "a sidecar has no authentication: it binds loopback, behind the gateway",
    "port": "it is the task's own `port`",
    "allowed_origins": "fleet lets no web page in",
}


def option_words(spec: SidecarSpec) -> tuple[str, ...]:
    """The flags for `spec`, fleet's defaults included, in a fixed order. Raises ConfigError."""
    options: dict[str, OptionValue] = {**_defaults(spec), **spec.options}
    words: list[str] = []
    for name in _KNOWN:
        if name in options:
            words += _flag(spec.name, name, options.pop(name))
    for name in options:
        raise _unknown(spec.name, name)
    return tuple(words)


def _defaults(spec: SidecarSpec) -> Mapping[str, OptionValue]:
    """Where fleet starts. Half of the reserve is for what is cached, half for what is being generated."""
    if spec.kv_reserve_bytes is not None:
        cache = spec.kv_reserve_bytes // 2
    elif spec.memory_bytes is not None:
        cache = spec.memory_bytes * 15 // 100
    else:
        cache = 2 * GIB
    small = spec.memory_bytes is not None and spec.memory_bytes <= 32 * GIB
    return {
        "prompt_cache_size": 8,
        "prompt_cache_bytes": cache,
        "decode_concurrency": 16,
        "prompt_concurrency": 2,
        "prefill_step_size": 512 if small else 2048,
        "max_tokens": 4096,
        "log_level": "INFO",
    }


def _flag(sidecar: str, name: str, value: OptionValue) -> tuple[str, ...]:
    flag = "--" + name.replace("_", "-")
    match name:
        case "use_default_chat_template":
            if not isinstance(value, bool):
                raise _wrong(sidecar, name, value, "true or false")
            return (flag,) if value else ()
        case "chat_template_args":
            if not isinstance(value, Mapping):
                raise _wrong(sidecar, name, value, "a mapping, like {enable_thinking: false}")
            return (flag, json.dumps(dict(value), sort_keys=True, separators=(",", ":")))
        case "prompt_cache_bytes":
            return (flag, str(_bytes(sidecar, name, value)))
        case "log_level":
            # DEBUG writes every prompt to the log (server.py, do_POST).
            if value not in _LOG_LEVELS:
                raise _wrong(sidecar, name, value, f"one of {', '.join(_LOG_LEVELS)}")
            return (flag, str(value))
        case "chat_template":
            if not isinstance(value, str):
                raise _wrong(sidecar, name, value, "the text of a template")
            return (flag, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(sidecar, name, value, "a number")
    if name in _COUNTS and (not isinstance(value, int) or value < (0 if name == "top_k" else 1)):
        raise _wrong(sidecar, name, value, "a whole number, 1 or more")
    if name in _NUMBERS and (value < 0 or (name != "temp" and value > 1)):
        raise _wrong(sidecar, name, value, "0 or more" if name == "temp" else "between 0 and 1")
    return (flag, str(value))


def _bytes(sidecar: str, name: str, value: OptionValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _wrong(sidecar, name, value, "a size, like 2GiB")
    try:
        size = parse_bytes(value)
    except ValueError:
        raise _wrong(sidecar, name, value, "a size, like 2GiB") from None
    if size < 1:
        raise _wrong(sidecar, name, value, "more than nothing, like 2GiB")
    return size


def _wrong(sidecar: str, name: str, value: object, expected: str) -> ConfigError:
    return ConfigError(f"sidecar {sidecar!r}: option {name}: found {value!r}, expected {expected}")


def _unknown(sidecar: str, name: str) -> ConfigError:
    if reason := _REFUSED.get(name.replace("-", "_")):
        return ConfigError(f"sidecar {sidecar!r}: option {name} is refused: {reason}")
    near = difflib.get_close_matches(name.replace("-", "_"), _KNOWN, n=1)
    return ConfigError(
        f"sidecar {sidecar!r}: mlx_lm has no option {name!r}",
        detail=f"options: {', '.join(sorted(_KNOWN))}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )
