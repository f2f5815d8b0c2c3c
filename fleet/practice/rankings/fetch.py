"""OpenRouter's own rankings of the last two weeks that are over, and its list of models, over any HTTP.

Two requests. 429 and 503 are waited for as `Retry-After` says, within two minutes in all; then it says when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import msgspec

from fleet.errors import FleetError
from fleet.practice.rankings.catalogue import parse_models
from fleet.practice.rankings.ranking import Catalogue, Ranking
from fleet.practice.rankings.reading import Odd, read_dataset
from fleet.practice.rankings.week import last_completed
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.secret import Secret

_PATIENCE_SECONDS = 120.0
_BACKOFF_SECONDS = (2.0, 4.0, 8.0)
_AGAIN = (429, 502, 503, 504)


class NotFetched(FleetError):
    """OpenRouter did not give its rankings."""

    code = "not_fetched"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer. Names of headers are in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Unreached(Exception):
    """No answer came; the message says why."""


class Web(Protocol):
    """One API over HTTP."""

    def get(self, path: str, query: Mapping[str, str], *, key: Secret | None) -> Answer:
        """GET `path` (`/v1/models`). Redirects are not followed. Raises Unreached."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The rankings, oldest first, and the list of models; None = that could not be had, `why` says it."""

    rankings: tuple[Ranking, ...]
    models: Catalogue | None
    odd: tuple[Odd, ...] = ()
    why: str = ""


def fetch(web: Web, *, key: Secret, clock: Clock) -> Fetched:
    """The last two weeks that are over. Raises NotFetched; the list of models alone may be missing."""
    now = clock.now().astimezone(UTC)
    week = last_completed(now.date())
    asker = _Asker(web, clock)
    span = {"start_date": str(week.previous.monday), "end_date": str(week.sunday), "period": "week"}
    body = asker.ask("/v1/datasets/rankings-daily", span, key)
    read = read_dataset(_json(body), as_of=now.isoformat(timespec="seconds").replace("+00:00", "Z"))
    wanted = {str(week), str(week.previous)}
    rankings = tuple(one for one in read.rankings if one.week in wanted)
    if str(week) not in {one.week for one in rankings}:
        detail = "\n".join(str(one) for one in read.odd[:5]) or read.none
        raise NotFetched(f"OpenRouter tells nothing of {week} yet", detail=detail, hint="try again in a few hours")
    models, why = _models(asker, now)
    return Fetched(rankings=rankings, models=models, odd=read.odd, why=why)


def _models(asker: _Asker, now: datetime) -> tuple[Catalogue | None, str]:
    try:
        body = asker.ask("/v1/models", {}, None)
    except NotFetched as problem:
        return None, problem.title
    found = parse_models(body, read_at=now.isoformat(timespec="seconds").replace("+00:00", "Z"))
    return found, "" if found is not None else "the list of models is none"


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise NotFetched("OpenRouter's rankings are no JSON", hint="is a proxy in between?") from None


class _Asker:
    """Asks again while there is patience. One patience for all that is asked."""

    def __init__(self, web: Web, clock: Clock) -> None:
        self._web = web
        self._clock = clock
        self._left_seconds = _PATIENCE_SECONDS

    def ask(self, path: str, query: Mapping[str, str], key: Secret | None) -> bytes:
        """The body of a 200. Raises NotFetched."""
        for gap in (*_BACKOFF_SECONDS, None):
            try:
                answer = self._web.get(path, query, key=key)
            except Unreached as problem:
                self._wait(gap, f"OpenRouter was not reached: {problem}")
                continue
            if answer.status == 200:
                return answer.body
            if answer.status not in _AGAIN:
                raise _refusal(answer)
            said = retry_after_seconds(answer.headers.get("retry-after"), now=self._clock.now())
            title = f"OpenRouter answers {answer.status}: {_why(answer)}"
            self._wait(gap if said is None or gap is None else max(said, 1.0), title, said)
        raise AssertionError("the last gap always raises")

    def _wait(self, seconds: float | None, title: str, said: float | None = None) -> None:
        if seconds is None or seconds > self._left_seconds:
            hint = "try again later" if said is None else f"it asks to wait {said:.0f} s: try again then"
            raise NotFetched(title, hint=hint)
        self._left_seconds -= seconds
        self._clock.sleep(seconds)


def retry_after_seconds(text: str | None, *, now: datetime) -> float | None:
    """`Retry-After` in seconds from now, whether it says seconds or a date; None for what says neither."""
    if text is None:
        return None
    plain = text.strip()
    if plain.isascii() and plain.isdecimal() and len(plain) < 10:
        return float(plain)
    try:
        when = parsedate_to_datetime(plain)
    except (TypeError, ValueError):
        return None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def _refusal(answer: Answer) -> NotFetched:
    if answer.status in (401, 403):
        return NotFetched(
            f"OpenRouter refuses the key ({answer.status}): {_why(answer)}",
            hint="`fleet secret check` looks at the key; any key of an account may read rankings",
        )
    return NotFetched(f"OpenRouter answers {answer.status}: {_why(answer)}")


def _why(answer: Answer) -> str:
    """Its own words, cut: never what was sent."""
    try:
        told: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        told = None
    error = told.get("error") if isinstance(told, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message[:200] if isinstance(message, str) and message else "no reason given"
