"""One file by its address and SHA-256: resumed after a cut, kept only when it is what was pinned."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from fleet.control.supply.cache import Cache
from fleet.errors import SupplyError
from fleet.vocabulary.contracts.desired import Blob

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
_WAIT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20
_SCHEMES = ("https", "http", "file")
MOST_BYTES = 8 * 1024**3


def download(url: str, *, sha256: str, cache: Cache, pause: Callable[[float], None] = time.sleep) -> Blob:
    """The file at `url` as a blob of the cache; nothing is asked when it is there. Raises SupplyError."""
    if cache.has(sha256):
        return Blob(digest=f"sha256:{sha256}", size=cache.blob_path(sha256).stat().st_size)
    if urlsplit(url).scheme not in _SCHEMES:
        raise SupplyError(f"{url} is not an address of {', '.join(_SCHEMES)}")
    with cache.making("download", sha256):
        part = cache.root / "tmp" / f"download-{sha256}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, pause)
        try:
            with part.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                if digest != sha256:
                    raise SupplyError(
                        f"{url} is not what is pinned",
                        detail=f"expected sha256 {sha256}\nreceived sha256 {digest}",
                        hint="compare with the publisher's list of checksums before you change the pin",
                    )
                return cache.keep(file)
        finally:
            part.unlink(missing_ok=True)


def _fetch(url: str, part: Path, pause: Callable[[float], None]) -> None:
    """All of it into `part`; a cut is gone on from, while anything comes."""
    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        try:
            if _piece(url, part, have):
                return
            cause = "it ended early"
        except urllib.error.HTTPError as error:
            if error.code not in (416, 429) and error.code < 500:
                raise SupplyError(f"{url}: HTTP {error.code}") from None
            if error.code == 416:  # what is here is of another file
                part.unlink(missing_ok=True)
            cause = f"HTTP {error.code}"
        except (OSError, HTTPException) as error:
            cause = str(getattr(error, "reason", error)) or type(error).__name__
        more = (part.stat().st_size if part.exists() else 0) > have
        failures = 1 if more else failures + 1
        if failures >= _ATTEMPTS or url.startswith("file:"):
            raise SupplyError(
                f"{url} cannot be fetched", detail=cause, hint="the same command again goes on from there"
            )
        pause(_PAUSE_SECONDS * failures)


def _piece(url: str, part: Path, have: int) -> bool:
    """Whether the whole is here now, after what one answer brought."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "fleet"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the scheme was looked at)
    with urllib.request.urlopen(request, timeout=_WAIT_SECONDS) as answer:  # noqa: S310 (likewise)
        goes_on = have and getattr(answer, "status", None) == 206
        announced = answer.headers.get("Content-Length")
        expected = (have if goes_on else 0) + int(announced) if announced and announced.isdigit() else None
        with part.open("ab" if goes_on else "wb") as file:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                if file.tell() > MOST_BYTES:
                    raise SupplyError(f"{url} is larger than {MOST_BYTES} bytes")
            return expected is None or file.tell() == expected
