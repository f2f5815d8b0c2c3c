"""Reading what deploy wrote: the configuration, the key ring, the keys that we show to upstreams. All or nothing."""

from __future__ import annotations

import hashlib
import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from fleet.engines import engine
from fleet.errors import ConfigError
from fleet.node.gateway.policy.check import problem_of_policy
from fleet.traffic.config import GatewayConfig, Route, Upstream, WatchedNode
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.secret import Secret

T = TypeVar("T")
_PIN = re.compile(r"sha256//[A-Za-z0-9+/]{43}=")
_KINDS = ("sidecar", "edge", "api")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OUR_HEADERS = frozenset(("connection", "content-length", "host", "transfer-encoding"))


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """One valid configuration with all that it refers to. `sha256` is of the configuration file's bytes.

    `upstream_keys` are by upstream, `watch_keys` by watched node. `webhook` and `ping` are whole addresses.
    """

    config: GatewayConfig
    keys: KeyRing
    sha256: str
    upstream_keys: Mapping[str, Secret] = field(default_factory=dict)
    watch_keys: Mapping[str, Secret] = field(default_factory=dict)
    webhook: Secret | None = None
    ping: Secret | None = None
    routes: Mapping[str, Route] = field(default_factory=dict)
    keys_by_sha256: Mapping[str, HashedKey] = field(default_factory=dict)

    def find_key(self, shown: str | None) -> HashedKey | None:
        """The key that was shown, unless it has ended. Looked up by its digest: timing says nothing of a key's text."""
        if not shown:
            return None
        key = self.keys_by_sha256.get(hashlib.sha256(shown.encode("utf-8", errors="surrogateescape")).hexdigest())
        ends = key.expires_at_seconds if key is not None else None
        return None if ends is not None and time.time() >= ends else key

    def route(self, model: str | None) -> Route | None:
        """The route that a client means by `model`; `default` and nothing mean the first one."""
        if model in (None, "", "default") and model not in self.routes:
            return next(iter(self.routes.values()), None)
        return self.routes.get(model or "")


def load(path: Path) -> Loaded:
    """Read and check everything. Raises ConfigError; nothing half-read ever serves."""
    content = _read(path)
    config = _decode(content, GatewayConfig, path)
    if config.schema != 1:
        raise ConfigError(f"schema {config.schema} is newer than this gateway", place=str(path))
    keys = _decode(_read(Path(config.keys_file)), KeyRing, Path(config.keys_file))
    _check_listener(config, path)
    names = [upstream.name for upstream in config.upstreams]
    for upstream in config.upstreams:
        _check_upstream(upstream, names, path)
    if problem := problem_of_policy(config):
        raise ConfigError(f"policy: {problem}", place=str(path))
    watched = config.watch.nodes if config.watch is not None else ()
    for node in watched:
        _check_watched(node, str(path))
    for peer in config.watch.peers if config.watch is not None else ():
        _check_watched(WatchedNode(node=peer.node, url=peer.url, pin=peer.pin), str(path))
    for route in config.routes:
        for name in route.upstreams:
            if name not in names:
                raise ConfigError(f"route {route.name!r}: there is no upstream {name!r}", place=str(path))
    shown = {one.name: _secret(Path(one.key_file)) for one in config.upstreams if one.key_file is not None}
    return Loaded(
        config=config,
        keys=keys,
        sha256=hashlib.sha256(content).hexdigest(),
        upstream_keys=shown,
        watch_keys={one.node: _secret(Path(one.key_file)) for one in watched if one.key_file is not None},
        webhook=_told_at(config.watch.webhook_file if config.watch is not None else None),
        ping=_told_at(config.watch.ping_file if config.watch is not None else None),
        routes=_routes(config),
        keys_by_sha256={key.sha256.lower(): key for key in keys.keys},
    )


def _routes(config: GatewayConfig) -> dict[str, Route]:
    """The routes by name, and one for every served model that no route is named after."""
    routes = {route.name: route for route in config.routes}
    for upstream in config.upstreams:
        if upstream.serves not in routes:
            same = tuple(one.name for one in config.upstreams if one.serves == upstream.serves)
            routes[upstream.serves] = Route(name=upstream.serves, upstreams=same)
    return routes


def _check_listener(config: GatewayConfig, path: Path) -> None:
    listen = config.listen
    if (listen.certificate_file is None) != (listen.key_file is None):
        raise ConfigError("a certificate needs its key, and a key its certificate", place=str(path))
    if listen.certificate_file is None and not is_loopback(listen.host):
        raise ConfigError(
            f"refusing to speak plain HTTP on {listen.host}: keys and prompts would be readable on the way",
            place=str(path),
            hint="set gateway_tls: true, or bind 127.0.0.1",
        )


def _check_upstream(upstream: Upstream, names: list[str], path: Path) -> None:
    where = f"upstream {upstream.name!r}"
    place = str(path)
    if names.count(upstream.name) > 1:
        raise ConfigError(f"{where}: there are two of that name", place=place)
    if upstream.kind not in _KINDS:
        raise ConfigError(f"{where}: kind {upstream.kind!r} is none of {', '.join(_KINDS)}", place=place)
    engine(upstream.engine)
    if upstream.max_in_flight < 1:
        raise ConfigError(f"{where}: max_in_flight must be 1 or more", place=place)
    host = _check_address(where, upstream.url, upstream.pin, place)
    if upstream.kind == "sidecar" and not is_loopback(host):
        raise ConfigError(f"{where}: a sidecar is on this node, not on {host}", place=place)
    if upstream.kind == "edge" and urlsplit(upstream.url).scheme == "https" and upstream.pin is None:
        raise ConfigError(f"{where}: an edge needs its pinned key", place=place, hint="run `fleet adopt` for it")
    for name, value in upstream.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OUR_HEADERS:
            raise ConfigError(f"{where}: {name!r} is no header that can be set", place=place)
        if not value.isascii() or not value.isprintable():
            raise ConfigError(f"{where}: the header {name} must be printable ASCII, on one line", place=place)


def _check_watched(node: WatchedNode, place: str) -> None:
    where = f"watched node {node.node!r}"
    _check_address(where, node.url, node.pin, place)
    if node.url is not None and urlsplit(node.url).scheme == "https" and node.pin is None:
        raise ConfigError(f"{where}: an edge needs its pinned key", place=place, hint="run `fleet adopt` for it")


def _told_at(path: str | None) -> Secret | None:
    """A secret address in a file. Raises ConfigError that does not show it."""
    if path is None:
        return None
    address = _secret(Path(path))
    try:
        parts = urlsplit(address.reveal())
        host, scheme, _ = parts.hostname or "", parts.scheme, parts.port
    except ValueError:
        host, scheme = "", ""
    if not host or not (scheme == "https" or (scheme == "http" and is_loopback(host))):
        raise ConfigError(
            f"{path} does not hold an address that may be asked",
            hint="one line like https://hooks.example.com/...; plain http is for 127.0.0.1 only",
        )
    return address


def _check_address(where: str, address: str | None, pin: str | None, place: str) -> str:
    """The host of an address that may be asked; "" where there is none. Raises ConfigError."""
    if address is None:
        return ""
    try:
        url = urlsplit(address)
        host, scheme, _ = url.hostname or "", url.scheme, url.port
    except ValueError:
        host, scheme = "", ""
    plain = address.isascii() and address.isprintable() and " " not in address
    if scheme not in ("http", "https") or not host or not plain:
        raise ConfigError(f"{where}: {address!r} is not an address like http://127.0.0.1:8800", place=place)
    if pin is not None and not _PIN.fullmatch(pin):
        raise ConfigError(f"{where}: {pin!r} is not a pin like sha256//BASE64", place=place)
    if scheme == "http" and not is_loopback(host):
        raise ConfigError(f"{where}: refusing plain HTTP to {host}", place=place, hint="use https")
    return host


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error


def _secret(path: Path) -> Secret:
    """The key in `path`. A file that others may read is refused."""
    text = _read(path).decode("utf-8", errors="replace").strip()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"{path} can be read by others", hint=f"chmod 600 {path}")
    if not text or any(not 33 <= ord(char) <= 126 for char in text):
        raise ConfigError(f"{path} does not hold a key: one line of printable characters")
    return Secret(text)


def _decode(content: bytes, kind: type[T], path: Path) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(error), place=str(path)) from error
