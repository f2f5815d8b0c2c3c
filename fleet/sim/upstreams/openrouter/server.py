"""The simulated OpenRouter as an HTTP server: who may ask, what it answers, what it bills."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fleet.sim.upstreams.faults import NONE, Faults
from fleet.sim.upstreams.http import Exchange
from fleet.sim.upstreams.openrouter import datasets
from fleet.sim.upstreams.openrouter.bill import Bill
from fleet.sim.upstreams.openrouter.catalogue import MODELS, Refusal, SimModel, pick
from fleet.sim.upstreams.openrouter.errors import error_body, refused, scripted_error
from fleet.sim.upstreams.openrouter.generator import Account, Generator, Job, reply
from fleet.sim.upstreams.script import switches
from fleet.sim.upstreams.simulated import SimulatedUpstream
from fleet.sim.upstreams.wire import before_headers

KEY = "sk-or-v1-simulated"
_BASE = "/api/v1"
_RANKINGS_A_MINUTE = 30
_RANKINGS_SECONDS = 60.0


class SimulatedOpenRouter(SimulatedUpstream):
    """`async with SimulatedOpenRouter() as openrouter:` then ask `openrouter.url` + `/v1/...` with KEY.

    `faults` hold for every request that does not say otherwise in its prompt; `times` of them are left, None = no end.
    `limit` is what the key may spend, in USD; `lag_seconds` how late `GET /generation` knows.
    `today` is the day of its rankings, else the machine's.
    """

    def __init__(
        self,
        *,
        models: Iterable[SimModel] = MODELS,
        key: str = KEY,
        limit: Decimal | None = None,
        lag_seconds: float = 0.0,
        folder: Path | None = None,
        today: date | None = None,
    ) -> None:
        super().__init__(self._handle)
        self.models = {model.id: model for model in models}
        self.key = key
        self.account = Account(Bill(folder), limit)
        self.lag_seconds = lag_seconds
        self._generator = Generator(self.account)
        self.today = today
        self._rankings_at: list[float] = []
        self._number = 0

    @property
    def bill(self) -> Bill:
        """All that was billed."""
        return self.account.bill

    @property
    def url(self) -> str:
        """The base URL of an upstream: paths begin with /v1."""
        return f"http://127.0.0.1:{self._http.port}/api"

    def retire(self, model: str, *, code: str = "model_deprecated") -> None:
        """The model is no longer to be had. Raises KeyError."""
        self.models[model] = replace(self.models[model], retired=code)

    async def _handle(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path.startswith("/_sim/"):
            await self._control(exchange)
            return
        self.exchanges.append(exchange)
        path = request.path.removeprefix(_BASE)
        if path == "/models" and request.method == "GET":
            await reply(exchange, 200, {"data": [model.entry() for model in self.models.values() if not model.retired]})
        elif request.headers.get("authorization") != f"Bearer {self.key}":
            await reply(exchange, 401, error_body(401))
        elif request.method == "GET":
            await self._get(exchange, path)
        elif request.method == "POST" and path in ("/chat/completions", "/completions", "/embeddings"):
            await self._generate(exchange, path)
        else:
            await reply(exchange, 404, error_body(404, message="Not Found"))

    async def _get(self, exchange: Exchange, path: str) -> None:
        query = exchange.request.query
        match path:
            case "/key":
                await reply(exchange, 200, self._key_status())
            case "/generation":
                found = self.bill.find(query.get("id", ""))
                if found is None or (datetime.now(UTC) - found.at).total_seconds() < self.lag_seconds:
                    await reply(exchange, 404, error_body(404, message="Generation not found"))
                else:
                    await reply(exchange, 200, datasets.generation(found))
            case "/endpoints/zdr":
                await reply(exchange, 200, datasets.zdr_endpoints(self.models.values()))
            case "/datasets/rankings-daily":
                await self._rankings(exchange, query)
            case _:
                await reply(exchange, 404, error_body(404, message="Not Found"))

    async def _rankings(self, exchange: Exchange, query: Mapping[str, str]) -> None:
        """Thirty a minute. The switches `err` and `retry_after` hold here, too."""
        faults, now = self._server_faults(), time.monotonic()
        self._rankings_at = [at for at in self._rankings_at if at > now - _RANKINGS_SECONDS]
        if faults.err is not None:
            await reply(exchange, faults.err, scripted_error(faults, status=faults.err), _retry_after(faults))
        elif len(self._rankings_at) >= _RANKINGS_A_MINUTE:
            wait = math.ceil(_RANKINGS_SECONDS - (now - self._rankings_at[0]))
            await reply(exchange, 429, error_body(429), {"Retry-After": str(max(1, wait))})
        else:
            self._rankings_at.append(now)
            today = self.today or datetime.now(UTC).date()
            status, body = datasets.rankings(self.models.values(), query, today=today)
            await reply(exchange, status, body)

    def _key_status(self) -> dict[str, Any]:
        usage = self.bill.usage(datetime.now(UTC))
        left = None if self.account.limit is None else max(Decimal(0), self.account.limit - usage["usage"])
        own_keys = {f"byok_{name}": Decimal(0) for name in usage}
        return {
            "data": {
                "label": "simulated",
                "limit": self.account.limit,
                "limit_remaining": left,
                "limit_reset": None,
                **usage,
                **own_keys,
                "is_free_tier": False,
            }
        }

    async def _generate(self, exchange: Exchange, path: str) -> None:
        body = exchange.request.json
        self._number += 1
        header = {"X-Generation-Id": f"gen-{int(time.time())}-{self._number:06d}"}
        if not isinstance(body, Mapping):
            await reply(exchange, 400, error_body(400, message="Invalid JSON"), header)
            return
        faults = switches(body).over(self._server_faults())
        await before_headers(exchange, faults)
        if faults.err is not None or faults.avail is not None:
            status = faults.err or 404
            await reply(exchange, status, scripted_error(faults, status=status), {**header, **_retry_after(faults)})
            return
        if faults.body_error:
            await reply(exchange, 200, scripted_error(faults, status=502), header, faults)
            return
        wanted = [str(one) for one in (body.get("model"), *_list(body.get("models"))) if isinstance(one, str)]
        prefs = body.get("provider")
        picked = pick(self.models, wanted, prefs if isinstance(prefs, Mapping) else {})
        if isinstance(picked, Refusal):
            await reply(exchange, 404, refused(picked), header)
            return
        job = Job(id=header["X-Generation-Id"], body=body, faults=faults, picked=picked, started=time.monotonic())
        if path == "/embeddings":
            await self._generator.embed(exchange, job)
        else:
            await self._generator.answer(exchange, job, chat=path == "/chat/completions")

    def _server_faults(self) -> Faults:
        if self.times is None:
            return self.faults
        self.times -= 1
        if self.times < 0:
            self.faults, self.times = NONE, None
        return self.faults

    async def _control(self, exchange: Exchange) -> None:
        """The door of tests: the bill, the faults, what was asked. No text of a prompt."""
        request = exchange.request
        body = request.json if isinstance(request.json, Mapping) else {}
        match request.method, request.path:
            case "GET", "/_sim/bill":
                await reply(exchange, 200, self.bill.told())
            case "GET", "/_sim/requests":
                await reply(exchange, 200, {"requests": [_told(one) for one in self.exchanges]})
            case "POST", "/_sim/faults":
                times = body.get("times")
                self.trouble(str(body.get("faults", "")), times=times if isinstance(times, int) else None)
                await reply(exchange, 200, {"ok": True})
            case "DELETE", "/_sim/faults":
                self.trouble("")
                await reply(exchange, 200, {"ok": True})
            case "POST", "/_sim/retire" if body.get("model") in self.models:
                self.retire(str(body["model"]))
                await reply(exchange, 200, {"ok": True})
            case _:
                await reply(exchange, 404, {"error": "no such control"})


def _told(exchange: Exchange) -> dict[str, Any]:
    took = None if exchange.ended_at is None else exchange.ended_at - exchange.arrived_at
    left = None if exchange.closed_at is None else exchange.closed_at - exchange.arrived_at
    request = exchange.request
    return {"method": request.method, "path": request.path, "seconds": took, "client_left_seconds": left}


def _retry_after(faults: Faults) -> dict[str, str]:
    return {} if faults.retry_after is None else {"Retry-After": str(faults.retry_after)}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
