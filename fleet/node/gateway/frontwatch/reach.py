"""Whether something answers: another front, a node that has only its SSH port, the network of this front. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.health.table import OFFLINE_AFTER_SECONDS
from fleet.vocabulary.names import Health


class Reach(msgspec.Struct, frozen=True, array_like=True):
    """Since when it has not answered (None = it does), and whether that was told."""

    silent_since_seconds: float | None = None
    told: bool = False


@dataclass(frozen=True, kw_only=True)
class Silent:
    """What is told of something that does not answer: about whom, by which check, and in which words."""

    node: str
    check: str
    text: str
    next: str
    do: str


def reached(before: Reach, words: Silent, now_seconds: float, *, answers: bool) -> tuple[Reach, Transition | None]:
    """The state after one more try, and what changed. Silence counts after OFFLINE_AFTER_SECONDS."""
    since = before.silent_since_seconds
    if answers:
        if not before.told or since is None:
            return Reach(), None
        return Reach(), _changed(words, since, now_seconds, after=Health.OK)
    since = now_seconds if since is None or since > now_seconds else since
    if before.told or now_seconds - since < OFFLINE_AFTER_SECONDS:
        return Reach(since, before.told), None
    return Reach(since, told=True), _changed(words, since, now_seconds, after=Health.CRITICAL)


def forgiven(before: Reach) -> Reach:
    """The state after we ourselves were away: a silence that was not told yet begins anew."""
    return before if before.told else Reach()


def _changed(words: Silent, since: float, now: float, *, after: Health) -> Transition:
    ends = after is Health.OK
    return Transition(
        at_seconds=now,
        node=words.node,
        check=words.check,
        before=Health.CRITICAL if ends else Health.OK,
        after=after,
        began_seconds=since,
        since_seconds=now if ends else since,
        text=words.text,
        next="" if ends else words.next,
        do="" if ends else words.do,
    )
