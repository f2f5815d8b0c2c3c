"""The model hub: what a repository holds at a commit, and files by range, resumed and verified."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.control.supply.cache import Cache
from fleet.errors import SupplyError
from fleet.vocabulary.contracts.desired import Blob

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. `sha256` is known for what git-lfs holds."""

    path: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Listing:
    """A repository at a commit."""

    commit: str
    files: tuple[HubFile, ...]


def list_files(repo: str, revision: str) -> Listing:
    """What `repo` holds at `revision`. Raises SupplyError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi(endpoint=_endpoint()).model_info(
            repo, revision=revision, files_metadata=True, timeout=_WAIT_SECONDS
        )
    except RevisionNotFoundError:
        raise SupplyError(f"hf:{repo} has no revision {revision}") from None
    except RepositoryNotFoundError:
        raise SupplyError(
            f"hf:{repo} is not on the hub, or not for you", hint="hf auth login, when it is gated"
        ) from None
    except Exception as error:  # noqa: BLE001 (the hub's HTTP library, and so its errors, differ between releases)
        raise SupplyError(f"the hub cannot be asked for {repo}", detail=str(error).strip()) from None
    files = tuple(
        HubFile(sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None)
        for sibling in info.siblings or ()
    )
    return Listing(str(info.sha), files)


def fetch(repo: str, commit: str, path: str, *, sha256: str | None, size_bytes: int, cache: Cache) -> Blob:
    """The file as a blob of the cache. A cut download goes on where it stopped. Raises SupplyError."""
    if sha256 is not None and cache.has(sha256):
        return Blob(digest=f"sha256:{sha256}", size=size_bytes)
    key = hashlib.sha256(f"{repo}@{commit}/{path}".encode()).hexdigest()
    with cache.making("hub", key):
        part = cache.root / "tmp" / f"hub-{key}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        _download(repo, commit, path, part, size_bytes)
        try:
            with part.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                if sha256 is not None and digest != sha256:
                    raise SupplyError(
                        f"{repo}: {path} is not what the manifest says",
                        detail=f"expected sha256 {sha256}\nreceived sha256 {digest}",
                        hint="try again; if it stays so, the file on the hub was replaced",
                    )
                return cache.keep(file)
        finally:
            part.unlink(missing_ok=True)


def _download(repo: str, commit: str, path: str, part: Path, size_bytes: int) -> None:
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # public, by its documentation

    url = hf_hub_url(repo, path, revision=commit, endpoint=_endpoint())
    failures = 0
    while (have := part.stat().st_size if part.exists() else 0) < size_bytes or not part.exists():
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with get_session().stream(
                "GET", url, headers=headers, follow_redirects=True, timeout=_WAIT_SECONDS
            ) as answer:
                _require_ok(answer, repo, path)
                with part.open("ab" if answer.status_code == 206 else "wb") as file:
                    for chunk in answer.iter_raw():
                        file.write(chunk)
        except SupplyError:
            raise
        except Exception as error:  # noqa: BLE001 (as above; whatever it is, the next attempt goes on)
            cause = str(error) or type(error).__name__
        else:
            cause = "the download ended early"
        now = part.stat().st_size if part.exists() else 0
        if now == size_bytes:
            return
        if now > size_bytes:
            part.unlink()
            raise SupplyError(f"{repo}: {path} is larger than announced ({now} of {size_bytes} bytes)")
        failures = 1 if now > have else failures + 1
        if failures >= _ATTEMPTS:
            raise SupplyError(
                f"{repo}: {path} cannot be downloaded",
                detail=f"{cause}; {now} of {size_bytes} bytes are here",
                hint="the same command again goes on from there",
            )
        time.sleep(_PAUSE_SECONDS * failures)


def _require_ok(answer: Any, repo: str, path: str) -> None:
    code = int(answer.status_code)
    if code in (200, 206):
        return
    if code in (401, 403):
        raise SupplyError(f"{repo}: {path} is not for you (HTTP {code})", hint="hf auth login, or accept its licence")
    if code == 404:
        raise SupplyError(f"{repo}: {path} is not there at that commit")
    if code == 416 or code >= 500 or code == 429:
        raise OSError(f"HTTP {code}")
    raise SupplyError(f"{repo}: {path}: HTTP {code}")


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None
