"""`GET /me`: what the owner of a key may know of it: what it may, what it used this month, what is left. No text."""

from __future__ import annotations

import time

from aiohttp import web

from fleet.node.gateway.auth import INFERENCE
from fleet.node.gateway.doors import Door, Visit, json_answer
from fleet.node.gateway.policy.desk import Desk
from fleet.traffic.budget.limits import Kind, Limit, Scope, Sum
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.keyring import HashedKey
from fleet.vocabulary.money import usd


def me_doors(desk: Desk) -> dict[str, Door]:
    """The door of a front."""

    async def answer(visit: Visit) -> web.StreamResponse:
        return json_answer(me_of(visit.key, desk))

    return {"/me": Door(answer, INFERENCE, dialect("chat"))}


def me_of(key: HashedKey | None, desk: Desk) -> dict[str, object]:
    """The answer. Amounts are decimal text in USD; None = no bound, or nobody knows. Caps are this front's part."""
    if key is None:
        return {}
    treasury, rules = desk.treasury, desk.rules
    calendar = treasury.book.calendar
    month = calendar.month(treasury.now)
    limits = key.limits
    in_use = desk.meters.used(f"key {key.name}", time.monotonic())
    return {
        "key": key.name,
        "person": key.person,
        "team": key.team,
        "app": key.app,
        "scopes": list(key.scopes),
        "tracks": list(key.tracks),
        "sensitivity": key.sensitivity,
        "gray": key.gray,
        "expires_at_seconds": key.expires_at_seconds,
        "month": {
            "name": str(month),
            "ends_at_seconds": calendar.ends(month) // 1000,
            **_used(treasury.book.sum(Scope(Kind.KEY, key.name), month), rules.caps.of_key(key)),
        },
        "minute": {
            "requests": in_use.requests,
            "requests_limit": limits.requests_per_minute,
            "tokens": in_use.tokens,
            "tokens_limit": limits.tokens_per_minute,
            "at_once": in_use.at_once,
            "at_once_limit": limits.concurrency,
        },
        "paid_routes": treasury.closed or "open",
    }


def _used(found: Sum, cap: Limit | None) -> dict[str, object]:
    cap_pico = None if cap is None else cap.pico
    cap_tokens = None if cap is None else cap.tokens
    return {
        "spent_usd": f"{usd(found.spent):f}",
        "held_usd": f"{usd(found.reserved):f}",
        "cap_usd": None if cap_pico is None else f"{usd(cap_pico):f}",
        "left_usd": None if cap_pico is None else f"{usd(max(0, cap_pico - found.committed)):f}",
        "tokens": found.tokens,
        "cap_tokens": cap_tokens,
        "left_tokens": None if cap_tokens is None else max(0, cap_tokens - found.committed_tokens),
    }
