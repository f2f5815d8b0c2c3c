"""One prompt at one target: asked, retried, played to its end, paid for and judged."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.practice.harness.answer import Answer, answered
from fleet.practice.harness.check import checked
from fleet.practice.harness.door import Door
from fleet.practice.harness.play import Conversation, begin, heard, request_of
from fleet.practice.harness.price import FREE, worst_case_pico
from fleet.practice.harness.purse import Purse
from fleet.practice.harness.results import Asked, Checked, Finished, Line, Outcome, Settled, TargetHead
from fleet.practice.harness.suite import Prompt
from fleet.practice.harness.sums import Sums
from fleet.traffic.budget.reserve import Rates, cost_of_usage
from fleet.traffic.tools.offered import Schemas, offered_of
from fleet.traffic.tools.score import score
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.ledger import CostSource

PAUSES_SECONDS = (1.0, 4.0)
_LONGEST_WAIT_SECONDS = 60.0


class NoMoney(Exception):
    """The next request could go above the ceiling."""


class Stopped(Exception):
    """The run was told to stop; nothing of this prompt was asked."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where lines go, by any thread: on the disk when `write` returns. `number()` is a name that no request has yet."""

    write: Callable[[Line], None]
    number: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Done:
    """A result. `shut`: the target takes no prompt at all, so asking it more is of no use."""

    finished: Finished
    shut: bool = False


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks one target; one thread each. `pauses_seconds`: before each further try. `salt`: see `Finished.answer`."""

    target: TargetHead
    door: Door
    purse: Purse
    paper: Paper
    clock: Clock
    schemas: Schemas
    stop: threading.Event
    salt: str
    pauses_seconds: tuple[float, ...] = PAUSES_SECONDS

    def finish(self, prompt: Prompt, repeat: int) -> Done:
        """Ask it to the end. Raises NoMoney, Stopped."""
        talk, sums = begin(prompt), Sums()
        answer: Answer | None = None
        while not talk.over:
            answer = self._answer(talk, sums)
            if not answer.whole:
                break
            talk = heard(talk, answer.text, answer.heard, self.schemas)
        if talk.over:
            checks = checked(prompt.expect, talk.said, self.schemas)
            outcome = Outcome.PASSED if all(check.passed for check in checks) else Outcome.FAILED
        elif answer is not None and answer.refused:  # a prompt that the target will not take has failed
            outcome, checks = Outcome.FAILED, (Checked(check="answered", passed=False),)
        else:
            outcome, checks = Outcome.UNMEASURED, ()
        problem = (answer.problem if answer is not None else "") or ("above_price" if sums.above_price else "")
        finished = Finished(
            target=self.target.name,
            prompt=prompt.id,
            repeat=repeat,
            outcome=outcome,
            at_milliseconds=self._now(),
            checks=checks,
            steps=talk.steps,
            seconds=sums.seconds,
            first_token_seconds=sums.first_token_seconds,
            tools_at_seconds=sums.tools_at_seconds,
            prompt_tokens=sums.prompt_tokens,
            completion_tokens=sums.completion_tokens,
            cached_tokens=sums.cached_tokens,
            pico=sums.pico,
            tool_verdicts=tuple(sums.verdicts),
            finish=talk.said.finish,
            model=sums.model,
            upstream=sums.upstream,
            answer=_hash(self.salt, talk.said.text) if talk.said.texts else "",
            problem=problem,
        )
        return Done(finished=finished, shut=sums.above_price or (answer is not None and answer.shut))

    def _answer(self, talk: Conversation, sums: Sums) -> Answer:
        """A whole answer, or the last of what was tried."""
        request = request_of(talk, self.target.model)
        if self.target.max_price and self.target.price is not None:
            request["provider"] = {"max_price": Rates.of(self.target.price).max_price()}
        offered = offered_of(request)
        pauses: Iterator[float] = iter(self.pauses_seconds)
        while True:
            if self.stop.is_set() and not sums.begun:
                raise Stopped
            answer = self._paid(talk, request, sums)
            if offered is not None:
                judged = score(offered, answer.heard, ended=answer.ended, schemas=self.schemas)
                sums.verdicts.append(judged.verdict)
            pause = next(pauses, None)
            if answer.whole or answer.refused or answer.shut or pause is None:
                return answer
            after = answer.retry_after_seconds
            if self.stop.wait(pause if after is None else min(after, _LONGEST_WAIT_SECONDS)):
                return answer

    def _paid(self, talk: Conversation, request: dict[str, Any], sums: Sums) -> Answer:
        """Reserve, ask, settle. The reservation is on the disk before the first byte goes out."""
        price, body = self.target.price, msgspec.json.encode(request)
        held = 0
        if price is not None and price != FREE:
            held = worst_case_pico(price, body, messages=len(talk.messages), max_tokens=talk.prompt.max_tokens)
        if not self.purse.reserve(held):
            raise NoMoney
        name, spent = self.paper.number(), held
        try:
            if held:
                self.paper.write(Asked(id=name, target=self.target.name, at_milliseconds=self._now(), pico=held))
            answer = answered(self.door, body, clock=self.clock)
            cost, source = self._cost(answer)
            if cost is not None:
                spent = cost
                if held or cost:
                    self.paper.write(Settled(id=name, target=self.target.name, pico=cost, source=source))
        finally:
            self.purse.settle(held, spent)
        sums.add(answer, cost, above=price is not None and spent > held)
        return answer

    def _cost(self, answer: Answer) -> tuple[int | None, CostSource]:
        """What it cost by the best word there is; None = nobody knows, and what was held stays spent."""
        reported = answer.reported_pico
        if reported is not None:
            return reported, CostSource.PROVIDER
        if not answer.sent:
            return 0, CostSource.UNSENT
        if self.target.price == FREE or (answer.whole and answer.upstream in self.target.own):
            return 0, CostSource.ESTIMATED
        if answer.whole and self.target.price is not None:
            return cost_of_usage(Rates.of(self.target.price), answer.usage), CostSource.ESTIMATED
        return None, CostSource.UNRESOLVED

    def _now(self) -> int:
        return round(self.clock.now().timestamp() * 1000)


def _hash(salt: str, text: str) -> str:
    """Says whether two answers of a run are the same, and nothing else."""
    return hashlib.blake2b(text.encode(errors="replace"), key=salt.encode()[:64], digest_size=8).hexdigest()
