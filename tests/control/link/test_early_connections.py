"""Connections that are begun early are the ones that are taken, or hung up."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fleet.control.link.deadline import Deadline
from fleet.control.link.early import Early
from fleet.errors import Unreachable


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(5)
        yield sock


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_connection_that_was_begun_is_the_one_that_is_taken(listener: socket.socket, host: str) -> None:
    port = listener.getsockname()[1]
    early = Early([(host, port)], seconds=5)
    theirs, _ = listener.accept()
    with theirs, early.take(host, port, deadline=Deadline.after(5), node="mini-1") as ours:
        assert ours.getsockname() == theirs.getpeername()
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


def test_a_place_that_was_not_begun_is_connected_when_it_is_asked_for(listener: socket.socket) -> None:
    place = listener.getsockname()
    with Early([], seconds=5).take(*place, deadline=Deadline.after(5), node="mini-1") as ours:
        assert ours.getpeername() == place


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_listening_is_told_with_the_node_and_advice(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    early = Early([(host, port)], seconds=5)
    with pytest.raises(Unreachable, match="refused") as caught:
        early.take(host, port, deadline=Deadline.after(5), node="mini-1")
    assert caught.value.node == "mini-1"
    assert "Remote Login" in caught.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_nobody_takes_is_hung_up(listener: socket.socket, host: str) -> None:
    early = Early([(host, listener.getsockname()[1])], seconds=5)
    theirs, _ = listener.accept()
    early.close()
    theirs.settimeout(5)
    with theirs:
        assert theirs.recv(1) == b""
