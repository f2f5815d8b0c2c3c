"""openclaw.json: OpenClaw's gateway with the fleet as its model provider. Pure.

OpenClaw reads it strictly: one key that it does not know, and it keeps to the last file that was right. Secrets are not
in it: `${NAME}` stands for a variable of its environment. Written for 2026.9.6, whose own schema the tests hold it to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PROVIDER = "fleet"
KEY_VARIABLE = "FLEET_GATEWAY_KEY"
TOKEN_VARIABLE = "OPENCLAW_GATEWAY_TOKEN"
CLIENT_HEADER = "x-fleet-client"
DEFAULT_PORT = 18789
TIMEOUT_SECONDS = 900
_COMPAT = {
    "supportsUsageInStreaming": True,
    "sendSessionAffinityHeaders": True,
    "supportsTools": True,
    "maxTokensField": "max_tokens",
}
"""Usage at a stream's end, a session's name for prompt affinity, tools, and the word that every server knows."""
_OURS = (
    ("gateway", "mode"),
    ("gateway", "port"),
    ("gateway", "bind"),
    ("gateway", "auth"),
    ("gateway", "reload"),
    ("models", "mode"),
    ("models", "providers", PROVIDER),
)
"""What fleet decides: settings may not say it a second time."""
_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")


class OpenClawError(ValueError):
    """What is asked for cannot be a configuration; the message is for people."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """USD per million tokens, as OpenClaw counts."""

    prompt: float
    completion: float
    cached: float | None = None


@dataclass(frozen=True, kw_only=True)
class OfferedModel:
    """A route as OpenClaw sees it. Unknown is None, and then OpenClaw's own default holds.

    `own` are fields of OpenClaw's model entry (`reasoning`, `input`, `maxTokens`, ...) that somebody knows better.
    """

    route: str
    context_tokens: int | None = None
    cost: Cost | None = None
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OpenClawGateway:
    """What the configuration is made from. `base_url` is the front's, with /v1; the paths are absolute.

    `settings` are merged into it: channels, tools, agents. The first model is the primary one unless `primary` names
    another.
    """

    base_url: str
    models: Sequence[OfferedModel]
    workspace: str
    log_file: str
    port: int = DEFAULT_PORT
    bind: str = "loopback"
    primary: str | None = None
    fallbacks: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def provider(models: Sequence[OfferedModel], *, base_url: str, key: str = f"${{{KEY_VARIABLE}}}") -> dict[str, Any]:
    """The entry of `models.providers`, for OpenClaw here or anywhere."""
    return {
        "baseUrl": base_url,
        "apiKey": key,
        "api": "openai-completions",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "headers": {CLIENT_HEADER: "openclaw"},
        "models": [_entry(model) for model in models],
    }


def openclaw_config(wanted: OpenClawGateway) -> dict[str, Any]:
    """The whole of openclaw.json. Raises OpenClawError."""
    routes = [model.route for model in wanted.models]
    if not routes:
        raise OpenClawError("the front has no route that OpenClaw could ask for")
    primary = wanted.primary or routes[0]
    for route in (primary, *wanted.fallbacks):
        if route not in routes:
            raise OpenClawError(f"{route!r} is no route that it is offered: {', '.join(routes)}")
    for path in _OURS:
        if _holds(wanted.settings, path):
            raise OpenClawError(f"settings: {'.'.join(path)} is fleet's to say")
    for name, entry in _providers(wanted.settings):
        if "localService" in entry:
            raise OpenClawError(
                f"settings: models.providers.{name}.localService would start a model server beside fleet's sidecars"
            )
    model: dict[str, Any] = {"primary": _reference(primary)}
    if wanted.fallbacks:
        model["fallbacks"] = [_reference(route) for route in wanted.fallbacks]
    own = {
        "gateway": {
            "mode": "local",
            "port": wanted.port,
            "bind": wanted.bind,
            "auth": {"mode": "token", "token": f"${{{TOKEN_VARIABLE}}}"},
            "reload": {"mode": "off"},  # a deploy restarts it, and proves what it then is
        },
        "models": {
            "mode": "merge",
            "catalogRefresh": {"enabled": False},
            "providers": {PROVIDER: provider(wanted.models, base_url=wanted.base_url)},
        },
        "agents": {
            "defaults": {
                "model": model,
                "models": {_reference(route): {"alias": route} for route in routes},
                "workspace": wanted.workspace,
            }
        },
        "logging": {"file": wanted.log_file},
        "update": {"checkOnStart": False, "auto": {"enabled": False}},
        "discovery": {"mdns": {"mode": "off"}},
    }
    return _merged(own, wanted.settings)


def openclaw_json(config: Mapping[str, Any]) -> bytes:
    """The file: sorted, so that the same configuration is the same bytes."""
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def variables_of(config: object) -> frozenset[str]:
    """The `${NAME}` that it stands on: without one of them OpenClaw refuses the whole file."""
    return frozenset(name for text in _texts(config) for name in _VARIABLE.findall(text))


def environment_line(name: str, value: str) -> str:
    """A line of the file that `node --env-file` reads. Raises OpenClawError for a value that it cannot hold."""
    for quote in ("'", '"', "`"):
        if quote not in value and not (quote == '"' and "\\" in value):
            return f"{name}={quote}{value}{quote}\n"
    raise OpenClawError(f"the value of {name} holds all three kinds of quotes, and an environment file has no fourth")


def _entry(model: OfferedModel) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": model.route,
        "name": f"fleet {model.route}",
        "reasoning": False,
        "input": ["text"],
        "compat": dict(_COMPAT),
    }
    if model.context_tokens is not None:
        entry["contextWindow"] = model.context_tokens
    if model.cost is not None:
        prompt, cached = model.cost.prompt, model.cost.cached
        entry["cost"] = {
            "input": prompt,
            "output": model.cost.completion,
            "cacheRead": prompt if cached is None else cached,
            "cacheWrite": prompt,
        }
    if {"id", "baseUrl", "api"} & set(model.own):
        raise OpenClawError(f"models.{model.route}: id, baseUrl and api are fleet's to say")
    return _merged(entry, model.own)


def _reference(route: str) -> str:
    return f"{PROVIDER}/{route}"


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in more.items():
        mine = found.get(key)
        found[key] = _merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return found


def _holds(settings: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(settings, Mapping) or name not in settings:
            return False
        settings = settings[name]
    return True


def _providers(settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    models = settings.get("models")
    found = models.get("providers") if isinstance(models, Mapping) else None
    for name, entry in (found if isinstance(found, Mapping) else {}).items():
        if isinstance(entry, Mapping):
            yield name, entry


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for inner in value.values():
                yield from _texts(inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(inner)
