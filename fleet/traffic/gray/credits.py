"""How many requests may go gray, in whole credits: a hard cap at every instant, without a clock of its own. Pure.

A proven request earns `share.part`, a gray one costs `share.rest`; the credit never exceeds `burst` gray requests and
begins at 0. So at every instant since it began (theorem 1) gray <= floor(share * all); sums of such spans, of routes,
of processes and of days keep the same (theorem 2); and any n requests in a row hold at most
floor(share * n + burst * (1 - share)) gray ones (theorem 3). A window that slides by the clock is not promised: proven
requests age out of it. A crash loses credit, which only means fewer gray requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.traffic.budget.calendar import DAY_MILLISECONDS
from fleet.traffic.gray.share import Share


@dataclass(frozen=True, slots=True)
class Credits:
    """The credit of one route, or of a whole process, on one UTC day. Every change is a new value."""

    share: Share
    burst: int = 1
    credit: int = 0
    day: int = 0

    def on(self, at_milliseconds: int) -> Credits:
        """On the day of `at_milliseconds` (UTC). Another day begins at 0, also an earlier one of a clock set back."""
        day = at_milliseconds // DAY_MILLISECONDS
        return self if day == self.day else replace(self, day=day, credit=0)

    def under(self, share: Share, burst: int) -> Credits:
        """Under these terms. Others begin at 0: nothing is inherited from a larger share."""
        if share == self.share and burst == self.burst:
            return self
        return Credits(share, burst, 0, self.day)

    def committed(self) -> Credits:
        """A proven upstream sent the headers of its answer to a request that did not count before."""
        credit = min(self.credit + self.share.part, self.burst * self.share.rest)
        return self if credit == self.credit else Credits(self.share, self.burst, credit, self.day)

    @property
    def may_spend(self) -> bool:
        """Whether a request that did not count before may go gray. A share of nothing allows nothing."""
        return self.share.part > 0 and self.credit >= self.share.rest

    def spent(self) -> Credits:
        """A request goes gray. Never given back, whatever becomes of it. Raises ValueError without credit."""
        if not self.may_spend:
            raise ValueError("there is no credit for a gray request")
        return Credits(self.share, self.burst, self.credit - self.share.rest, self.day)
