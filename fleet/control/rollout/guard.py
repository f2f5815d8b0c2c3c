"""What keeps a deploy from taking a node back by mistake: a stale checkout, and an older fleet. Pure.

A node knows from which git commit of the project, and by which fleet, what is live was deployed. `--force` lifts the
first guard, `--downgrade` the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import fleet
from fleet.control.rollout.checkout import Checkout
from fleet.errors import NodeError
from fleet.vocabulary.contracts.sync import Hello
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a deploy leaves a node alone, and what to do about it. A plan shows it; it is no failure of the node."""

    title: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a guard says of one node."""

    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The guards of one run. `force` and `downgrade` were typed.

    A rollback has no `checkout`: it goes back on purpose.
    """

    checkout: Checkout | None = None
    force: bool = False
    downgrade: bool = False
    fleet_version: str = fleet.__version__

    def judge(self, hello: Hello) -> Judged:
        """What is to be said before anything changes on the node that said `hello`."""
        both = (self._older_fleet(hello.live_fleet_version), self._stale_checkout(hello.git_commit))
        return Judged(
            refusals=tuple(refusal for one in both for refusal in one.refusals),
            notes=tuple(note for one in both for note in one.notes),
        )

    def _older_fleet(self, live: str | None) -> Judged:
        if live is None or not is_older(self.fleet_version, than=live):
            return Judged()
        if self.downgrade:
            return Judged(notes=(f"what is live was deployed by fleet {live}; this is {self.fleet_version}",))
        refusal = Refusal(
            title=f"a newer fleet deployed what is live: {live}, this is {self.fleet_version}",
            detail="Its agent, gateway and records may be ones that this fleet cannot read.",
            hint=f"install fleet {live} or later here\nor go back on purpose: fleet deploy --downgrade",
        )
        return Judged(refusals=(refusal,))

    def _stale_checkout(self, live: str | None) -> Judged:
        if live is None or self.checkout is None:
            return Judged()
        head = self.checkout.commit
        if head is None:
            note = f"what is live was deployed from git commit {live[:12]}; this project is in no git, so nobody can"
            return Judged(notes=(f"{note} say whether it is older",))
        if self.checkout.descends_from(live):
            return Judged()
        known = self.checkout.knows(live)
        why = "which is not part of" if known else "which is unknown to"
        said = f"it was deployed from git commit {live[:12]}, {why} this checkout ({head[:12]})"
        if self.force:
            return Judged(notes=(f"{said}: forced",))
        hint = "git merge or git rebase brings that in" if known else "git pull brings it"
        return Judged(refusals=(Refusal(title=said, hint=f"{hint}\nor deploy all the same: --force"),))


def failed_before(bad: str) -> Refusal:
    """Why a node does not try a state again that failed there."""
    first, _, rest = bad.partition("\n")
    return Refusal(
        title=f"this very state failed here before: {first}",
        detail=rest,
        hint="mend the cause and deploy what comes of it\nor try the same once more: --force",
    )


def refused(node: NodeName, refusals: Sequence[Refusal]) -> NodeError:
    """The refusals of one node as one error: the first in its headline, the others under it."""
    first, *others = refusals
    also = [line for one in others for line in (f"and: {one.title}", one.detail) if line]
    hints = dict.fromkeys(line for one in refusals for line in one.hint.splitlines())
    detail = "\n".join(part for part in (first.detail, *also) if part)
    return NodeError(first.title, node=node, detail=detail, hint="\n".join(hints))


def is_older(version: str, *, than: str) -> bool:
    """Whether a version of fleet comes before another one. One that cannot be read is not older."""
    one, other = _numbers(version), _numbers(than)
    return bool(one and other) and one < other


def _numbers(version: str) -> tuple[int, ...]:
    """The release's three numbers. What follows them (`.dev1`, `rc1`) does not count."""
    match = re.match(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", version)
    return tuple(int(part or 0) for part in match.groups()) if match else ()
