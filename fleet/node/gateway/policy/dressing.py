"""What policy forces into the body of a request before it goes to an API, whatever its client said. Pure.

To OpenRouter a client could name other models, plugins and providers in the body. But which model answers is the
route's and the gray pool's, plugins cost what no price tells and carry the prompt elsewhere, and who may see it is the
label's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.vocabulary.names import Sensitivity

_OTHER_MODELS = frozenset({"models", "route", "preset"})
_FEES = frozenset({"plugins", "web_search_options"})
_BOUNDS = ("max_completion_tokens", "max_tokens")


def dressed_for_api(
    request: Mapping[str, Any],
    *,
    engine: str,
    label: Sensitivity,
    max_tokens: int | None,
    max_price: Mapping[str, float] | None,
    unsaid: bool = False,
) -> dict[str, Any]:
    """`request` as it may go out. `max_tokens`: what was reserved for; `max_price`: the prices that were used.

    `unsaid`: the client named no bound, so this is the bound, and not a default of the engine's.
    """
    out = dict(request)
    if max_tokens is not None and unsaid:
        out["max_tokens"] = max_tokens
    elif max_tokens is not None:
        _bound(out, max_tokens)
    if engine != "openrouter":
        return out
    for name in _OTHER_MODELS | _FEES:
        out.pop(name, None)
    said = out.get("provider")
    provider = dict(said) if isinstance(said, Mapping) else {}
    if max_price is not None:
        provider["max_price"] = dict(max_price)
    if label.rank >= Sensitivity.SENSITIVE.rank:
        provider |= {"data_collection": "deny", "zdr": True}
    if provider:
        out["provider"] = provider
    else:
        out.pop("provider", None)
    return out


def _bound(out: dict[str, Any], max_tokens: int) -> None:
    """No answer is longer than what was reserved for."""
    said = False
    for name in _BOUNDS:
        value = out.get(name)
        if isinstance(value, int):
            said = True
            out[name] = min(value, max_tokens)
    if not said:
        out["max_tokens"] = max_tokens
