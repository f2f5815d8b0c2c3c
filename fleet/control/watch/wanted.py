"""What somebody wants of nodes, look by look: who drained, who resumed, and since when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import msgspec

from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health, Intent, NodeName

INTENT_CHECK = "intent"
_TEXT = {
    Intent.DRAINING: "draining: it gets no new work, and what runs may end",
    Intent.DRAINED: "drained: it gets no new work",
    Intent.SERVING: "serving again",
}


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """What somebody wants of a node, and since when as far as it says (by our own clock)."""

    intent: Intent
    since_seconds: float


NOTHING_WANTED: Mapping[NodeName, Wanted] = MappingProxyType({})


def turned_intents(
    drained: Mapping[str, Wanted], wanted: Mapping[NodeName, Wanted], now_seconds: float, *, known: Collection[str]
) -> tuple[dict[str, Wanted], tuple[Transition, ...]]:
    """Who does not just serve after this look, and what changed. Of a node that did not say, nothing did.

    A node that is not `known` any more is resumed: its row must end.
    """
    gone = {NodeName(name): Wanted(Intent.SERVING, now_seconds) for name in drained if name not in known}
    after, told = dict(drained), []
    for name, one in {**wanted, **gone}.items():
        before = after.pop(name, None)
        if one.intent is not Intent.SERVING:
            after[name] = one if before is None else Wanted(one.intent, before.since_seconds)
        if one.intent is not (before.intent if before else Intent.SERVING):
            told.append(_change(name, one, before, now_seconds))
    return after, tuple(told)


def _change(name: str, wanted: Wanted, before: Wanted | None, now: float) -> Transition:
    since = min(now, wanted.since_seconds)
    return Transition(
        at_seconds=now,
        node=name,
        check=INTENT_CHECK,
        before=Health.OK,
        after=Health.OK,
        began_seconds=min(since, before.since_seconds) if before else since,
        since_seconds=since,
        text=_TEXT[wanted.intent],
        do="" if wanted.intent is Intent.SERVING else f"fleet resume {name}",
        intent=wanted.intent,
    )
