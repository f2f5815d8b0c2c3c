"""Generations of the simulated OpenRouter: from a request that may be answered to the line on the bill."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fleet.sim.upstreams.faults import NONE, Faults
from fleet.sim.upstreams.http import Exchange
from fleet.sim.upstreams.openrouter.answer import PROCESSING, Voice, encoded
from fleet.sim.upstreams.openrouter.bill import Bill, Generation, price
from fleet.sim.upstreams.openrouter.catalogue import Picked, Provider
from fleet.sim.upstreams.openrouter.errors import error_body
from fleet.sim.upstreams.openrouter.free import PER_MINUTE, FreeLimits
from fleet.sim.upstreams.openrouter.money import usd
from fleet.sim.upstreams.script import Script, embedding, script, text_of, token_count
from fleet.sim.upstreams.wire import Kind, Wire, answer_json, event, troubled

_DEFAULT_TOKENS = 4096
_DIMENSIONS = 8


@dataclass
class Account:
    """Whose money it is. `limit` is what it may spend, in USD; None = no end."""

    bill: Bill
    limit: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One generation on its way. `started` is monotonic seconds."""

    id: str
    body: Mapping[str, Any]
    faults: Faults
    picked: Picked
    started: float

    @property
    def header(self) -> dict[str, str]:
        """Told before any token."""
        return {"X-Generation-Id": self.id}


class Generator:
    """Answers jobs, and bills them."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._free = FreeLimits()

    async def answer(self, exchange: Exchange, job: Job, *, chat: bool) -> None:
        """A chat or a text completion."""
        body, model = job.body, job.picked.model
        messages = body.get("messages") if chat else body.get("prompt")
        if not messages or (chat and not isinstance(messages, list)) or model.embeds:
            await reply(exchange, 400, error_body(400, message="Input required: specify messages"), job.header)
            return
        said = script(body, job.faults, default_tokens=_DEFAULT_TOKENS)
        if said.prompt_tokens > model.context_tokens:
            words = f"This endpoint's maximum context length is {model.context_tokens} tokens."
            failure = error_body(400, message=words, error_type="context_length_exceeded")
            await reply(exchange, 400, failure, job.header)
            return
        if model.free and (wait := self._free.wait_seconds(model.id, now=time.monotonic())) is not None:
            headers = {**job.header, "Retry-After": str(wait), "X-RateLimit-Limit": str(PER_MINUTE)}
            headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((time.time() + wait) * 1000))}
            failure = error_body(429, message="Rate limit exceeded: free-models-per-min.")
            await reply(exchange, 429, failure, headers)
            return
        worst = price(
            job.picked.provider,
            prompt_tokens=said.prompt_tokens,
            completion_tokens=_most_tokens(body, said),
        )
        if self._account.limit is not None and usd(self._account.bill.total_pico + worst) > self._account.limit:
            await reply(exchange, 402, error_body(402), job.header)
            return
        voice = Voice(
            id=job.id,
            model=model.id,
            provider=job.picked.provider.name,
            created=int(time.time()),
            script=said,
            cost=usd(_full_price(job.picked.provider, said)),
            chat=chat,
            faults=job.faults,
        )
        if body.get("stream") is True:
            await self._stream(exchange, job, voice)
        else:
            await self._whole(exchange, job, voice)

    async def _stream(self, exchange: Exchange, job: Job, voice: Voice) -> None:
        """The generation runs as long as its client is there, and a provider that cannot cancel bills it all."""
        faults = job.faults
        wire = Wire(exchange, faults, chunked=True)
        tokens, failed = 0, False
        try:
            headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Transfer-Encoding": "chunked"}
            await exchange.head(200, {**headers, **job.header})
            await wire.write(event(PROCESSING, faults))
            if faults.first:
                await exchange.pause(faults.first / 2000)
                await wire.write(event(PROCESSING, faults))
                await exchange.pause(faults.first / 2000)
            for frame in troubled(voice.frames(), faults, error=voice.failure()):
                if frame.kind is Kind.TEXT and faults.gap:
                    await exchange.pause(faults.gap / 1000)
                failed = failed or frame.kind is Kind.ERROR
                await wire.write(event(frame, faults))
                tokens += frame.tokens
            await wire.end()
        finally:
            self._settle(job, voice, said=tokens, left=exchange.gone.is_set(), failed=failed)

    async def _whole(self, exchange: Exchange, job: Job, voice: Voice) -> None:
        faults = job.faults
        tokens = 0
        try:
            if faults.first:
                await exchange.pause(faults.first / 1000)
            while faults.gap and tokens < voice.script.completion_tokens:
                await exchange.pause(faults.gap / 1000)
                tokens += 1
            tokens = voice.script.completion_tokens
            await reply(exchange, 200, voice.whole(), job.header, faults)
        finally:
            self._settle(job, voice, said=tokens, left=exchange.gone.is_set(), failed=faults.choice_error)

    def _settle(self, job: Job, voice: Voice, *, said: int, left: bool, failed: bool) -> None:
        """Bill what was said. What failed, and what was cancelled before it said a word, costs nothing."""
        provider, full = job.picked.provider, voice.script.completion_tokens
        cancelled = left and said < full
        tokens = min(said, full) if cancelled and provider.cancels else full
        free = failed or (cancelled and provider.cancels and said == 0)
        finish = "error" if failed else None if cancelled else voice.script.finish
        self._book(
            job,
            prompt=voice.script.prompt_tokens,
            completion=tokens,
            reasoning=min(tokens, len(voice.script.thoughts)),
            free=free,
            cancelled=cancelled,
            finish=finish,
        )

    def _book(
        self,
        job: Job,
        *,
        prompt: int,
        completion: int,
        reasoning: int = 0,
        free: bool = False,
        cancelled: bool = False,
        finish: str | None = None,
    ) -> None:
        provider = job.picked.provider
        cost = 0 if free else price(provider, prompt_tokens=prompt, completion_tokens=completion)
        self._account.bill.add(
            Generation(
                id=job.id,
                model=job.picked.model.id,
                provider=provider.name,
                prompt_tokens=prompt,
                completion_tokens=completion,
                reasoning_tokens=reasoning,
                cost_pico=cost,
                cancelled=cancelled,
                streamed=job.body.get("stream") is True,
                finish_reason=finish,
                latency_ms=int((time.monotonic() - job.started) * 1000),
                at=datetime.now(UTC),
            )
        )

    async def embed(self, exchange: Exchange, job: Job) -> None:
        """Embeddings."""
        given = job.body.get("input")
        several = given if isinstance(given, list) else []
        texts = [given] if isinstance(given, str) else [text_of(one) for one in several]
        if not texts or not job.picked.model.embeds:
            await reply(exchange, 400, error_body(400, message="Input required: specify input"), job.header)
            return
        size = job.body.get("dimensions")
        size = size if isinstance(size, int) and 0 < size <= 4096 else _DIMENSIONS
        tokens = sum(map(token_count, texts))
        cost = price(job.picked.provider, prompt_tokens=tokens, completion_tokens=0)
        data = [{"object": "embedding", "index": at, "embedding": embedding(one, size)} for at, one in enumerate(texts)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "cost": usd(cost)}
        answer = {"id": job.id, "object": "list", "model": job.picked.model.id, "data": data, "usage": usage}
        self._book(job, prompt=tokens, completion=0)
        await reply(exchange, 200, answer, job.header, job.faults)


async def reply(
    exchange: Exchange,
    status: int,
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    faults: Faults = NONE,
) -> None:
    """A whole answer."""
    await answer_json(exchange, status, encoded(body), headers or {}, faults)


def _full_price(provider: Provider, said: Script) -> int:
    return price(provider, prompt_tokens=said.prompt_tokens, completion_tokens=said.completion_tokens)


def _most_tokens(body: Mapping[str, Any], said: Script) -> int:
    """The most that the answer may cost: OpenRouter wants credit for that."""
    asked = [body.get(name) for name in ("max_completion_tokens", "max_tokens")]
    return max(said.completion_tokens, *(one for one in asked if isinstance(one, int)), 0)
