"""Connections begun ahead are given once, made anew when they waited long, and hung up when nobody wants them."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime

import pytest

from fleet.control.link import tcp
from fleet.control.link.ahead import Ahead
from fleet.control.link.protocol import Target
from fleet.errors import Unreachable
from fleet.testing.clock import FakeClock
from fleet.testing.link import FakeLink, FakeSession

ONE, TWO, GONE = (Target(node=name, address=name) for name in ("one", "two", "gone"))


def a_link() -> tuple[FakeLink, dict[str, FakeSession]]:
    sessions = {name: FakeSession({}, node=name) for name in ("one", "two")}
    return FakeLink(sessions), sessions


def a_clock() -> FakeClock:
    return FakeClock(datetime(2026, 11, 22, tzinfo=UTC))


def test_each_is_given_once_and_an_error_too() -> None:
    link, sessions = a_link()
    ahead = Ahead(link, [ONE, GONE], clock=a_clock())
    assert ahead.connect(ONE) is sessions["one"]
    with pytest.raises(Unreachable):
        ahead.connect(GONE)
    assert link.connected == ["one"]
    ahead.connect(ONE)  # to prove that it can be reached, say
    ahead.connect(TWO)
    assert link.connected == ["one", "one", "two"]


def test_what_waited_for_long_is_made_anew() -> None:
    link, sessions = a_link()
    clock = a_clock()
    ahead = Ahead(link, [ONE], clock=clock)
    clock.sleep(61.0)
    assert ahead.connect(ONE) is sessions["one"]
    assert sessions["one"].closed
    assert link.connected == ["one", "one"]


def test_what_nobody_wants_is_hung_up() -> None:
    link, sessions = a_link()
    ahead = Ahead(link, [ONE, TWO, GONE], clock=a_clock())
    ahead.keep(["one"])
    ahead._pool.shutdown(wait=True)
    assert ahead.connect(ONE) is sessions["one"]
    assert not sessions["one"].closed
    assert sessions["two"].closed or "two" not in link.connected
    ahead.close()


def test_the_kernel_says_how_far_the_other_side_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        seconds = tcp.round_trip_seconds(near)
    assert seconds is None if not sys.platform.startswith("linux") else seconds is not None and 0 < seconds < 1
    assert tcp.round_trip_seconds(object()) is None
