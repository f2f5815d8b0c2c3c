"""How far a request may go: the highest of what its sources say. Nothing lowers it. Pure.

Tags (the key, the repository, the client's header) say what a request is; without one it is what the policy calls
untagged. Floors (the route, the session, the detectors) only raise that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import translate

from fleet.traffic.openai_error import ApiError, Refused
from fleet.traffic.policy import Policy
from fleet.vocabulary.names import Sensitivity

SENSITIVITY_HEADER = "x-fleet-sensitivity"
REPO_HEADER = "x-fleet-repo"
_LONGEST_REPO = 256


class Source(StrEnum):
    """Who says what a request is."""

    UNTAGGED = "untagged"
    KEY = "key"
    REPOSITORY = "repository"
    HEADER = "header"
    ROUTE = "route"
    SESSION = "session"
    DETECTOR = "detector"


@dataclass(frozen=True, slots=True)
class Said:
    """What one source says, and by what: a pattern of repositories, a rule's id."""

    source: Source
    label: Sensitivity
    by: str = ""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The label of a request, who decided it (the first to say the highest), and all that was said.

    `repository` is the name in the client's header, "" without one.
    """

    label: Sensitivity
    decided: Said
    said: tuple[Said, ...]
    repository: str = ""

    def raised(self, floors: Iterable[Said]) -> Labelled:
        """With more said of it: higher, or as it was."""
        decided, said = self.decided, [*self.said]
        for floor in floors:
            said.append(floor)
            if floor.label.rank > decided.label.rank:
                decided = floor
        return replace(self, label=decided.label, decided=decided, said=tuple(said))

    def why(self) -> str:
        """For people: `sensitive: repository acme/shop-*`."""
        return f"{self.label.value}: {self.decided.source.value} {self.decided.by}".rstrip()


class Labeller:
    """Says what requests are under one policy. Its patterns are compiled once."""

    def __init__(self, policy: Policy) -> None:
        self._untagged = policy.untagged
        self._repos = [
            (repo.pattern, re.compile(_pattern(repo.pattern)).fullmatch, repo.sensitivity) for repo in policy.repos
        ]

    def label(
        self,
        *,
        key: Sensitivity | None = None,
        repository: str | None = None,
        header: str | None = None,
        route: Sensitivity | None = None,
        session: Sensitivity | None = None,
    ) -> Labelled:
        """`repository` and `header` as the client sent them. Raises Refused (400) for a header that says no label."""
        tags = [Said(Source.KEY, key)] if key is not None else []
        name = repo_name(repository) if repository else ""
        if name:
            tags.append(self._of_repository(name))
        if header is not None and (stated := _stated(header)) is not None:
            tags.append(Said(Source.HEADER, stated))
        if not tags:
            tags.append(Said(Source.UNTAGGED, self._untagged))
        floors = [Said(Source.ROUTE, route)] if route is not None else []
        if session is not None:
            floors.append(Said(Source.SESSION, session))
        first = tags[0]
        return Labelled(first.label, first, (first,), repository=name).raised([*tags[1:], *floors])

    def _of_repository(self, name: str) -> Said:
        """The highest of all patterns that match; a repository that no list knows is as if it were untagged."""
        known = [Said(Source.REPOSITORY, label, pattern) for pattern, matches, label in self._repos if matches(name)]
        known += [
            Said(Source.REPOSITORY, label, pattern)
            for pattern, matches, label in self._repos
            if (short := _without_host(name)) != name and matches(short)
        ]
        return max(known, key=lambda said: said.label.rank, default=Said(Source.REPOSITORY, self._untagged, "unlisted"))


def repo_name(text: str) -> str:
    """How a repository is called, out of any of its remotes' spellings: `github.com/acme/shop`, in small letters.

    `git@github.com:acme/shop.git`, `https://user@github.com/acme/shop` and the like are the same. Total.
    """
    name = text.strip()[:_LONGEST_REPO].lower()
    scheme, separator, rest = name.partition("://")
    if separator:
        host, _, path = rest.partition("/")
        name = f"{host.rpartition('@')[2].partition(':')[0]}/{path}" if scheme != "file" else path
    elif scp := re.fullmatch(r"(?:[^/@]+@)?([^/:@]+):(.+)", name):
        name = f"{scp[1]}/{scp[2].lstrip('/')}"
    return name.strip("/").removesuffix(".git").strip("/")


def _without_host(name: str) -> str:
    host, slash, path = name.partition("/")
    return path if slash and "." in host else name


def _pattern(pattern: str) -> str:
    """`*` and `?` only: a bracket is a bracket."""
    return translate(repo_name(pattern).replace("[", "[[]"))


def _stated(header: str) -> Sensitivity | None:
    """The highest label that the header names (proxies join several by commas); None when it is empty."""
    words = [word.strip().lower() for word in header.split(",")]
    known = {label.value: label for label in Sensitivity}
    labels = [known.get(word) for word in words if word]
    if None in labels:
        raise Refused(
            ApiError(
                status=400,
                message=f"{SENSITIVITY_HEADER} must be one of {', '.join(known)}",
                code="unknown_sensitivity",
                param=SENSITIVITY_HEADER,
            )
        )
    return max((label for label in labels if label is not None), key=lambda label: label.rank, default=None)
