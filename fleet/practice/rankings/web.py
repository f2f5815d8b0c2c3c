"""One API over HTTPS by the standard library: a laptop and a front both have it. A key never follows a redirect."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fleet.practice.rankings.fetch import Answer, Unreached
from fleet.vocabulary.secret import Secret

_LONGEST_BYTES = 32 * 1024 * 1024


class HttpsApi:
    """An API at a base URL (`https://openrouter.ai/api`); proxies are those of the environment."""

    def __init__(self, base_url: str, *, patience_seconds: float = 30.0) -> None:
        self._base = base_url.rstrip("/")
        self._patience_seconds = patience_seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str, query: Mapping[str, str], *, key: Secret | None) -> Answer:
        """GET. Raises Unreached."""
        url = f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")
        said = {"Accept": "application/json", "User-Agent": "fleet"}
        request = urllib.request.Request(url, headers=said)  # noqa: S310 (the inventory takes http and https only)
        if key is not None:
            request.add_unredirected_header("Authorization", f"Bearer {key.reveal()}")
        try:
            with self._opener.open(request, timeout=self._patience_seconds) as answer:
                return _told(answer.status, dict(answer.headers), answer.read(_LONGEST_BYTES + 1))
        except urllib.error.HTTPError as error:
            with error:
                return _told(error.code, dict(error.headers), error.read(_LONGEST_BYTES + 1))
        except urllib.error.URLError as error:
            raise Unreached(str(error.reason)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreached(str(error) or type(error).__name__) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _told(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    if len(body) > _LONGEST_BYTES:
        raise Unreached("the answer is larger than 32 MiB")
    return Answer(status=status, body=body, headers={name.lower(): value for name, value in headers.items()})
