"""What becomes of an attempt that nobody settled, and of sums that the provider sees otherwise. Pure.

An attempt is never released on a guess: until somebody knows better, what was reserved for it counts as spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fleet.vocabulary.contracts.ledger import Note, Reservation
from fleet.vocabulary.money import PICO_PER_USD, shown

HOLD_MILLISECONDS = 24 * 3600 * 1000
"""How long the provider is asked about one attempt before its counters are asked about all of them."""
SURELY_COUNTED_MILLISECONDS = 2 * 3600 * 1000
"""What was reserved so long ago is over, and in the provider's counters, however they lag."""
BEGUN, RESTORED, RECONCILED = "ledger_begun", "ledger_restored", "ledger_reconciled"
READING, COMPARED = "provider_reading", "provider_compared"
_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 600.0
_TOLERATED_PICO = PICO_PER_USD // 2


@dataclass(frozen=True)
class OpenAttempt:
    """A reservation without a settlement. `generation` is what the provider calls it; "" = nobody knows."""

    reservation: Reservation
    generation: str = ""

    @property
    def held_until(self) -> int:
        """When it is no longer asked about by itself, milliseconds of UTC."""
        return self.reservation.at_milliseconds + HOLD_MILLISECONDS


class Reading(msgspec.Struct, frozen=True):
    """A provider's counters at a moment, pico-dollars: since the key was made, and in the month."""

    total_pico: int
    month_pico: int


def retry_seconds(tries: int) -> float:
    """How long to wait after so many tries: 1 s, doubled up to 10 minutes."""
    return float(min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(tries, 20)))


def must_reconcile(notes: Sequence[Note]) -> str:
    """Why the sums of this ledger are not to be trusted yet; "" = they are. `notes` in the order of the ledger.

    A file that was begun, or restored, is a file whose sums nobody compared with the provider's.
    """
    for note in reversed(notes):
        if note.kind == RECONCILED:
            return ""
        if note.kind in (BEGUN, RESTORED):
            return note.subject
    return "it is new"


def missing(billed_pico: int, counted_pico: int) -> int:
    """What an incomplete ledger does not know of, given what the provider billed this month. Never negative."""
    return max(0, billed_pico - counted_pico)


def most_held(billed_pico: int, settled_pico: int, reserved: Sequence[int]) -> tuple[int, ...]:
    """What each of several attempts cost at most, in their order.

    `billed_pico` is all that the provider billed since before they began, `settled_pico` what attempts since then are
    known to have cost and that is surely in it: the rest bounds what these cost together. It is divided by what was
    reserved for each, to the last pico-dollar, and none costs more than that.
    """
    held = sum(reserved)
    bound = min(max(0, billed_pico - settled_pico), held)
    costs, before = [], 0
    for one in reserved:
        costs.append((before + one) * bound // held - before * bound // held if held else 0)
        before += one
    return tuple(costs)


def reading_before(notes: Sequence[Note], account: str, at: int) -> tuple[int, Reading] | None:
    """The newest reading of an account's counters that is not younger than `at`, and when it was taken."""
    for note in reversed(notes):
        if note.kind == READING and note.subject == account and note.at_milliseconds <= at:
            try:
                return note.at_milliseconds, msgspec.json.decode(note.data, type=Reading)
            except msgspec.DecodeError:
                continue
    return None


def disagreement(billed_pico: int, counted_pico: int) -> str:
    """What people must know when provider and ledger differ by more than 1 % and 0.50 USD; "" = they agree."""
    gap = billed_pico - counted_pico
    if abs(gap) <= max(_TOLERATED_PICO, billed_pico // 100):
        return ""
    more = "more" if gap > 0 else "less"
    return (
        f"the provider billed {shown(abs(gap))} USD {more} than the ledger knows of "
        f"({shown(billed_pico)} against {shown(counted_pico)})"
    )
