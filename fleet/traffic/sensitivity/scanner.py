"""Looks into a request with a matcher, piece by piece, as long as time and size allow. What it did not see is told.

Agents send their history again with every turn: pieces that were clean are remembered by their digests. No text of a
request is kept, and none is in a verdict.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.traffic.policy import Scanning
from fleet.traffic.sensitivity.matcher import Matcher
from fleet.traffic.sensitivity.rules import LONGEST_MATCH, Kind
from fleet.traffic.sensitivity.texts import texts_of
from fleet.vocabulary.names import Sensitivity

_PIECE = 32 * 1024
_STEP = _PIECE - 2 * LONGEST_MATCH
_REMEMBERED = 16 * 1024
_MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that found something, where it did first, and the label that this makes. Never what it found."""

    rule: str
    kind: Kind
    place: str
    label: Sensitivity


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found, and why some of the request was not looked at: `unseen` is empty when all of it was."""

    hits: tuple[Hit, ...] = ()
    unseen: tuple[str, ...] = ()
    scanned_bytes: int = 0
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """All of it was looked at, and nothing found."""
        return not self.hits and not self.unseen

    @property
    def label(self) -> Sensitivity | None:
        """The highest label that hits make; None without one. What was not seen makes none: it is only not clean."""
        return max((hit.label for hit in self.hits), key=lambda label: label.rank, default=None)


class Scanner:
    """One per configuration and event loop. `clock` gives seconds."""

    def __init__(
        self,
        matcher: Matcher,
        scanning: Scanning,
        *,
        clock: Callable[[], float] = time.perf_counter,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._matcher = matcher
        self._scanning = scanning
        self._clock = clock
        self._most = remembered
        self._clean: dict[bytes, None] = {}

    @property
    def engine(self) -> str:
        """For people: `re2` or `re`."""
        return self._matcher.name

    def __len__(self) -> int:
        """How many clean pieces are remembered."""
        return len(self._clean)

    def scan(self, request: Mapping[str, Any]) -> Verdict:
        """What is in `request` (in OpenAI's words)."""
        started = self._clock()
        latest = started + self._scanning.longest_seconds
        longest_bytes = self._scanning.longest_bytes
        found = texts_of(request)
        unseen = list(found.unreadable)
        hits: dict[str, Hit] = {}
        scanned_bytes = 0
        for text in found.texts:
            stopped = ""
            for piece in _pieces(text.content):
                if scanned_bytes + len(piece) > longest_bytes:
                    stopped = f"more than {longest_bytes} bytes"
                elif self._clock() > latest:
                    stopped = f"more than {self._scanning.longest_seconds * 1000:g} ms"
                if stopped:
                    break
                try:
                    data = piece.encode()
                except UnicodeEncodeError:
                    unseen.append(f"{text.place}: no valid UTF-8")
                    data = piece.encode(errors="replace")
                scanned_bytes += len(data)
                self._look(piece, data, text.place, hits)
            if stopped:
                unseen.append(f"{text.place}: {stopped}")
                break
        return Verdict(
            hits=tuple(hits.values()),
            unseen=tuple(unseen[:_MOST_TOLD]),
            scanned_bytes=scanned_bytes,
            seconds=self._clock() - started,
        )

    def _look(self, piece: str, data: bytes, place: str, hits: dict[str, Hit]) -> None:
        digest = hashlib.sha256(data).digest()
        clean = self._clean
        if digest in clean:
            del clean[digest]  # to the end: the eldest go first
            clean[digest] = None
            return
        rules = self._matcher.hits(piece, data)
        for rule in rules:
            label = rule.raise_to or self._scanning.raise_to
            hits.setdefault(rule.id, Hit(rule.id, rule.kind, place, label))
        if not rules and self._most:
            clean[digest] = None
            if len(clean) > self._most:
                del clean[next(iter(clean))]


def _pieces(content: str) -> Iterator[str]:
    """`content` in pieces that overlap, so that whatever is not longer than a match may be is whole in one of them."""
    if len(content) <= _PIECE:
        yield content
        return
    for start in range(0, len(content) - (_PIECE - _STEP), _STEP):
        yield content[start : start + _PIECE]
