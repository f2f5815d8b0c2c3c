"""What upstreams and routes of a node may not say, once they have the right types. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from urllib.parse import urlsplit

from fleet.control.inventory.node import Node
from fleet.control.inventory.serving import OPENROUTER, TimeoutSetting, UpstreamSetting, route_of
from fleet.errors import InventoryError
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.names import Track
from fleet.vocabulary.units import parse_seconds

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REFERENCE = re.compile(r"(env|file|keyring|sops):.+|op://.+")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_KEY_HEADERS = ("authorization", "x-api-key", "proxy-authorization", "cookie")


def check_serving(node: Node, nodes: Container[str]) -> None:
    """Check the upstreams, routes and timeouts of a node. Raises InventoryError at the first that cannot be."""
    for name, upstream in node.settings.upstreams.items():
        _check_name(node, name, nodes)
        _check_url(node, name, upstream)
        _check_key(node, name, upstream)
        _check_models(node, name, upstream)
    _check_routes(node)
    _check_spans(node, node.settings.gateway_timeouts, ("gateway_timeouts",))


def _check_name(node: Node, name: str, nodes: Container[str]) -> None:
    place = node.place_of("upstreams", name)
    if not _NAME.fullmatch(name):
        raise InventoryError(
            f"{name!r} cannot name an upstream", place=place, hint="letters, digits, `.`, `_` and `-`, 64 at most"
        )
    if name in nodes:
        raise InventoryError(
            f"upstreams.{name}: {name} is a node",
            place=place,
            detail="its upstreams are found by themselves: every node that the playbook gives a sidecar",
            hint="give the API another name",
        )


def _check_url(node: Node, name: str, upstream: UpstreamSetting) -> None:
    url = upstream.base_url(name)
    if url is None:
        raise InventoryError(
            f"upstreams.{name}: `url` is missing",
            place=node.place_of("upstreams", name),
            hint=f"only OpenRouter's is known (engine: {OPENROUTER}); like url: https://api.example.com",
        )
    place = node.place_of("upstreams", name, "url")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or any(char.isspace() for char in url):
        raise InventoryError(
            f"upstreams.{name}.url: not an address of an API", place=place, hint="like https://api.example.com"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise InventoryError(
            f"upstreams.{name}.url: an address holds no key and no query",
            place=place,
            hint="the key goes into `key`, as a reference: key: file:secrets/" + f"{name}.key",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InventoryError(
            f"upstreams.{name}.url: plain HTTP to {host}",
            place=place,
            detail="key and prompts would be readable on the way",
            hint="use https; http is for 127.0.0.1",
        )


def _check_key(node: Node, name: str, upstream: UpstreamSetting) -> None:
    if upstream.key is not None and not _REFERENCE.fullmatch(upstream.key):
        raise InventoryError(
            f"upstreams.{name}.key: a secret is written as a reference, not as itself",
            place=node.place_of("upstreams", name, "key"),
            detail="what is there is not shown",
            hint=f"put the key into a file that git ignores (chmod 600): key: file:secrets/{name}.key",
        )
    for header, value in upstream.headers.items():
        place = node.place_of("upstreams", name, "headers", header)
        if header.lower() in _KEY_HEADERS:
            raise InventoryError(
                f"upstreams.{name}.headers: {header} holds a secret, and headers are not kept as one",
                place=place,
                hint=f"key: file:secrets/{name}.key is sent as Authorization",
            )
        if not _HEADER.fullmatch(header) or not value.isprintable() or not value.isascii():
            raise InventoryError(
                f"upstreams.{name}.headers: {header!r} cannot be sent",
                place=place,
                hint="a name of letters and dashes, a value of plain ASCII; like X-Title: our fleet",
            )


def _check_models(node: Node, name: str, upstream: UpstreamSetting) -> None:
    place = node.place_of("upstreams", name, "models")
    models = upstream.models
    if not models:
        raise InventoryError(
            f"upstreams.{name}.models: no model", place=place, hint="like models: {flash: vendor/model-flash}"
        )
    twice = next((model for model in models if isinstance(models, list) and models.count(model) > 1), None)
    if twice is not None:
        raise InventoryError(f"upstreams.{name}.models: {twice!r} is there twice", place=place, hint="name it once")
    if "default" in models:
        raise InventoryError(
            f"upstreams.{name}.models: `default` means the default route",
            place=node.place_of("upstreams", name, "models", "default"),
            hint="give the model another name: models: {NAME: its name there}",
        )


def _check_routes(node: Node) -> None:
    """A private route stays on own machines: what an API serves, under whatever name, is not for it."""
    for name, written in node.settings.routes.items():
        route = route_of(written)
        if not route.models:
            raise InventoryError(
                f"routes.{name}: no model", place=node.place_of("routes", name), hint=f"like {name}: [a served model]"
            )
        if route.track is Track.PRIVATE:
            for upstream, model in _outside(node, route.models):
                raise InventoryError(
                    f"routes.{name} is private, and the API {upstream} serves its model {model!r}",
                    place=node.place_of("routes", name, "models", route.models.index(model)),
                    detail=f"upstreams.{upstream} is at {node.place_of('upstreams', upstream)}",
                    hint="a private route stays on own machines: another track, or another served name in the upstream",
                )
        if route.timeouts is not None:
            _check_spans(node, route.timeouts, ("routes", name, "timeouts"))


def _outside(node: Node, models: list[str]) -> Iterator[tuple[str, str]]:
    """The APIs that serve any of these models, each with the model."""
    for model in models:
        for name, upstream in node.settings.upstreams.items():
            if model in upstream.models:
                yield name, model


def _check_spans(node: Node, timeouts: TimeoutSetting, path: tuple[str, ...]) -> None:
    for field in timeouts.__struct_fields__:
        span = getattr(timeouts, field)
        if span is not None and parse_seconds(span) <= 0:
            raise InventoryError(
                f"{'.'.join(path)}.{field}: it must be above 0",
                place=node.place_of(*path, field),
                hint="like 90s or 5m",
            )
