"""Who gets in: the size of the head, the name that we are called by, the key and its scope, the method."""

from __future__ import annotations

from fleet.node.gateway.auth import NODE, host_allowed, shown_key
from fleet.node.gateway.doors import Door, Visit
from fleet.node.gateway.reload import Current
from fleet.node.gateway.request import given_id
from fleet.traffic.openai_error import ApiError, Refused

_MOST_HOSTS = 256


class Gatekeeper:
    """Looks at every request before anything of its body is read."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._hosts: dict[str, bool] = {}
        self._hosts_of: object = None

    def check(self, visit: Visit, door: Door) -> None:
        """Let `visit` in: its key is known then. Raises Refused."""
        request, loaded = visit.request, self._current.loaded
        size = sum([len(name) + len(value) for name, value in request.raw_headers])
        if size > loaded.config.limits.header_bytes:
            raise Refused(ApiError(status=431, message="the headers are too long", code="headers_too_large"))
        host = request.headers.get("Host")
        if host is not None and not self._host_allowed(host):  # no browser leaves it out: only HTTP/1.0 does
            message = "this gateway does not answer under that Host name; add it to its allowed hosts"
            raise Refused(ApiError(status=421, message=message, code="wrong_host"))
        if door.scope == NODE and "Origin" in request.headers:
            message = "this is for scrapers and gateways: no page of a browser is shown it"
            raise Refused(ApiError(status=403, message=message, type="permission_error", code="no_pages"))
        if door.scope is not None:
            visit.key = key = loaded.find_key(shown_key(request.headers))
            if key is None:
                message = "missing or unknown key: send `Authorization: Bearer KEY` or `x-api-key: KEY`"
                raise Refused(ApiError(status=401, message=message, code="invalid_api_key"))
            if door.scope not in key.scopes:
                message = f"the key {key.name!r} is not for this: it lacks the scope {door.scope!r}"
                raise Refused(ApiError(status=403, message=message, type="permission_error", code="insufficient_scope"))
            if NODE in key.scopes:  # another gateway: a client could give two requests one id, or somebody else's
                visit.id = given_id(request.headers) or visit.id
        if not door.takes(request.method):
            message = f"{request.method} {request.path}: method not allowed; this door takes {door.method}"
            raise Refused(ApiError(status=405, message=message, code="method_not_allowed"))

    def _host_allowed(self, host: str) -> bool:
        config = self._current.loaded.config
        if self._hosts_of is not config or len(self._hosts) > _MOST_HOSTS:
            self._hosts, self._hosts_of = {}, config
        allowed = self._hosts.get(host)
        if allowed is None:
            allowed = self._hosts[host] = host_allowed(config, host)
        return allowed
