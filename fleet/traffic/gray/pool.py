"""The credit of one gray pool in one process: every request passes its route's cap and the process's, in requests and,
where that is wanted, in tokens. Pure; all is synchronous, so that nothing comes between a check and its decrement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fleet.traffic.gray.credits import Credits
from fleet.traffic.gray.reasons import NotGray
from fleet.traffic.gray.share import Share
from fleet.traffic.gray.tokencap import Held, TokenCap
from fleet.traffic.policy import GrayTerms


class Mark(StrEnum):
    """How one request counts so far. It counts once, however many attempts it takes; once proven it never goes gray."""

    NOTHING = "nothing"
    PROVEN = "proven"
    GRAY = "gray"


@dataclass(frozen=True, slots=True)
class Purse:
    """Both credits of one route, or of the process. Where only requests are capped, the share of tokens is 1."""

    credits: Credits
    tokens: TokenCap

    @classmethod
    def of(cls, terms: GrayTerms) -> Purse:
        """An empty one. Raises NotExact."""
        requests = Credits(Share.parse(terms.share), max(terms.burst, 1))
        return cls(requests, TokenCap(Share.parse(terms.token_share or "1")))

    def on(self, at_milliseconds: int) -> Purse:
        """On the UTC day of an instant."""
        return Purse(self.credits.on(at_milliseconds), self.tokens.on(at_milliseconds))

    def under(self, terms: GrayTerms) -> Purse:
        """Under these terms. Raises NotExact."""
        empty = Purse.of(terms)
        requests = self.credits.under(empty.credits.share, empty.credits.burst)
        return Purse(requests, self.tokens.under(empty.tokens.share))

    def lacks(self, mark: Mark, most_tokens: int) -> NotGray | None:
        """What keeps a request from going gray."""
        if mark is Mark.PROVEN:
            return NotGray.PROVEN
        if mark is Mark.NOTHING and not self.credits.may_spend:
            return NotGray.CREDIT
        return None if self.tokens.affords(most_tokens) else NotGray.TOKEN_CREDIT

    def spent(self, mark: Mark, most_tokens: int) -> tuple[Purse, Held]:
        """A request that lacks nothing goes gray; one that did already is not counted again."""
        tokens, held = self.tokens.reserved(most_tokens)
        return Purse(self.credits.spent() if mark is Mark.NOTHING else self.credits, tokens), held

    def committed(self) -> Purse:
        """A proven upstream began to answer a request."""
        return replace(self, credits=self.credits.committed())

    def ended(self, held: Held | None, *, gray_tokens: int | None, proven_tokens: int | None) -> Purse:
        """A request used so many tokens, of what it held and of a proven upstream."""
        tokens = self.tokens.proven(proven_tokens)
        return replace(self, tokens=tokens if held is None else tokens.settled(held, gray_tokens))


class Pool:
    """The purses of one gray route: one per route that feeds it, and one for all of them together."""

    def __init__(self, terms: GrayTerms) -> None:
        """Empty. Raises NotExact."""
        self._empty = Purse.of(terms)
        self._whole = self._empty
        self._routes: dict[str, Purse] = {}

    def under(self, terms: GrayTerms) -> None:
        """A configuration that was read anew. The same terms keep the credit, others begin at 0. Raises NotExact."""
        self._empty = self._empty.under(terms)
        self._whole = self._whole.under(terms)
        self._routes = {name: purse.under(terms) for name, purse in self._routes.items()}

    def turn(self, route: str) -> Turn:
        """For one request of `route`, the proven route that feeds the pool (also when gray was asked for by name)."""
        return Turn(self, route)

    def purse(self, route: str | None = None) -> Purse:
        """Of a route; None: of the whole process. For screens."""
        return self._whole if route is None else self._routes.get(route, self._empty)

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes that counted something."""
        return tuple(self._routes)

    def both(self, route: str, at_milliseconds: int) -> tuple[Purse, Purse]:
        """The purses that a request of `route` must pass, on the day of an instant."""
        return self.purse(route).on(at_milliseconds), self._whole.on(at_milliseconds)

    def keep(self, route: str, one: Purse, whole: Purse) -> None:
        """What has become of both."""
        self._routes[route], self._whole = one, whole


class Turn:
    """One request's dealings with a pool. Whatever is called how often: it counts once."""

    def __init__(self, pool: Pool, route: str) -> None:
        self._pool = pool
        self._held: tuple[Held, Held] | None = None
        self._over = False
        self.route = route
        self.mark = Mark.NOTHING

    def lacks(self, most_tokens: int, at_milliseconds: int) -> NotGray | None:
        """What keeps it from going gray now; nothing is taken."""
        one, whole = self._pool.both(self.route, at_milliseconds)
        return one.lacks(self.mark, most_tokens) or whole.lacks(self.mark, most_tokens)

    def take(self, most_tokens: int, at_milliseconds: int) -> NotGray | None:
        """Before anything of it goes to a gray upstream: None when it may, and its credit is gone for good.

        `most_tokens`: what its prompt and its answer can be at most (Prompt.most_tokens and max_tokens).
        """
        lacking = self.lacks(most_tokens, at_milliseconds)
        if lacking is not None:
            return lacking
        one, whole = self._pool.both(self.route, at_milliseconds)
        one, held = one.spent(self.mark, most_tokens)
        whole, held_whole = whole.spent(self.mark, most_tokens)
        self._pool.keep(self.route, one, whole)
        self._held, self.mark = (held, held_whole), Mark.GRAY
        return None

    def proven(self, at_milliseconds: int) -> None:
        """A proven upstream sent the headers of its answer. A request that was gray before stays gray."""
        if self.mark is Mark.NOTHING:
            one, whole = self._pool.both(self.route, at_milliseconds)
            self._pool.keep(self.route, one.committed(), whole.committed())
            self.mark = Mark.PROVEN

    def ended(self, at_milliseconds: int, *, gray_tokens: int | None = None, proven_tokens: int | None = None) -> None:
        """It is over: what its answer used, by who gave it. What a gray attempt held and nobody counted stays used."""
        if self._over:
            return
        self._over = True
        one, whole = self._pool.both(self.route, at_milliseconds)
        held, held_whole = self._held or (None, None)
        one = one.ended(held, gray_tokens=gray_tokens, proven_tokens=proven_tokens)
        self._pool.keep(self.route, one, whole.ended(held_whole, gray_tokens=gray_tokens, proven_tokens=proven_tokens))
