"""What of a plan is certain, so that it can be held against a later look. Standard library only; travels with sync.

Steps that only may happen (`Step.may`) promise nothing. Whether a job that runs is restarted, reloaded, or started
again since it is down, follows from the two releases and from the other steps; which of them it is changes by the
second with a job that crashes. So these are no difference, and neither is the wording of a reason.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.vocabulary.contracts.codec import digest_of
from fleet.vocabulary.contracts.sync import Step

_FOLLOWS = frozenset({"restart", "reload", "cure", "wait"})
_TREE = "tree"  # staging may have put it in place already

Certain = tuple[str, str, str, str]


def certain(steps: Iterable[Step]) -> tuple[Certain, ...]:
    """Key, action, old and new value of every step that is certain, in order."""
    return tuple(
        (step.key, step.action, step.before or "", step.after or "")
        for step in steps
        if not step.may and step.action not in _FOLLOWS and step.kind_of != _TREE
    )


def steps_digest(steps: Iterable[Step]) -> str:
    """64 hex digits that name what is certain of a plan."""
    return digest_of(certain(steps))


def told_apart(shown: Iterable[Step], now: Iterable[Step]) -> tuple[str, ...]:
    """In which words the second look differs from the first; empty when a person would be shown the same."""
    then, seen = certain(shown), certain(now)
    gone = [f"no more: {_words(one)}" for one in then if one not in seen]
    come = [f"new: {_words(one)}" for one in seen if one not in then]
    return (*come, *gone) or (() if then == seen else ("the same steps in another order",))


def _words(one: Certain) -> str:
    key, action, before, after = one
    values = f" ({before} -> {after})" if before and after else ""
    return f"{action} {key.replace(':', ' ', 1)}{values}"
