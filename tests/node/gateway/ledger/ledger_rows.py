"""Rows for tests of the ledger."""

from __future__ import annotations

from fleet.vocabulary.contracts.ledger import (
    CostSource,
    Dispatch,
    Owner,
    Request,
    Reservation,
    Settlement,
)
from fleet.vocabulary.names import Track

NOON = 1_795_000_000_000
ADA = Owner(key="ada-laptop", person="ada", team="search", app="code")


def reservation(name: str, pico: int = 1_000, *, at: int = NOON, track: Track = Track.DOLLAR) -> Reservation:
    """The first attempt of a request."""
    return Reservation(
        id=f"{name}/1",
        request=name,
        at_milliseconds=at,
        owner=ADA,
        route="big",
        track=track,
        upstream="openrouter.kimi",
        model="moonshot/kimi",
        pico=pico,
        ticket="SEC-1",
    )


def settlement(name: str, pico: int, *, at: int = NOON, source: CostSource = CostSource.PROVIDER) -> Settlement:
    """What it cost."""
    return Settlement(id=f"{name}/1", at_milliseconds=at, pico=pico, source=source)


def dispatch(name: str, *, at: int = NOON) -> Dispatch:
    """What the provider calls it."""
    return Dispatch(id=f"{name}/1", generation=f"gen-{name}", at_milliseconds=at)


def request(name: str, *, at: int = NOON, **more: object) -> Request:
    """A request that ended."""
    return Request(id=name, at_milliseconds=at, owner=ADA, asked="big", route="big", track=Track.DOLLAR, **more)  # type: ignore[arg-type]
