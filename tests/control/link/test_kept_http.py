"""A kept connection: one channel for many GETs, opened again when the other side gave it up, and no answer mixed up."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.link.kept import KeptHttp, parse_head
from fleet.errors import ProtocolError, Unreachable
from fleet.testing.link import FakeSession

SESSION = FakeSession({}, node="mini-1")
Answer = Callable[[str, int], bytes | None]
"""The answer to the path that is asked, and how many were asked on this connection before; None hangs up."""


class Listener:
    """A server by hand: it counts connections and remembers what was asked on which."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[tuple[int, str]] = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        before = 0
        with suppress(OSError), connection, connection.makefile("rb") as requests:
            while line := requests.readline():
                while requests.readline() not in (b"\r\n", b""):
                    pass
                path = line.split()[1].decode()
                self.asked.append((number, path))
                answer = self._answer(path, before)
                before += 1
                if answer is None:
                    return
                connection.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def listen() -> Iterator[Callable[[Answer], Listener]]:
    listeners: list[Listener] = []

    def go(answer: Answer) -> Listener:
        listeners.append(Listener(answer))
        return listeners[-1]

    yield go
    for listener in listeners:
        listener.close()


def said(path: str, *fields: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"Content-Length: {len(path)}", *fields)
    return ("\r\n".join((*lines, "", "")) + path).encode()


def test_many_requests_share_one_connection(listen) -> None:
    server = listen(lambda path, _: said(path, "Age: 3"))
    door = KeptHttp(SESSION, server.port)
    answers = [door.get(path) for path in ("/a", "/bb", "/ccc")]
    assert [answer.body for answer in answers] == [b"/a", b"/bb", b"/ccc"]
    assert (answers[0].status, answers[0].headers["age"], server.connections) == (200, "3", 1)
    door.close()


def test_a_connection_that_was_given_up_between_two_requests_is_opened_again_unseen(listen) -> None:
    server = listen(lambda path, before: said(path) if before == 0 else None)
    door = KeptHttp(SESSION, server.port)
    assert [door.get("/a").body for _ in range(3)] == [b"/a"] * 3
    assert server.connections == 3
    door.close()


@pytest.mark.parametrize("field", ["Connection: close", "connection: Close"])
def test_an_answer_that_says_close_is_the_last_on_its_connection(listen, field) -> None:
    server = listen(lambda path, _: said(path, field))
    door = KeptHttp(SESSION, server.port)
    assert [door.get("/a").body for _ in range(2)] == [b"/a"] * 2
    assert server.asked == [(1, "/a"), (2, "/a")]


def test_what_is_asked_ahead_is_answered_by_the_next_get_and_asked_once(listen) -> None:
    server = listen(lambda path, _: said(path))
    door = KeptHttp(SESSION, server.port)
    door.ask("/a")
    assert door.get("/a").body == b"/a"
    assert server.asked == [(1, "/a")]
    door.close()


def test_an_answer_that_nobody_fetched_is_never_the_answer_to_something_else(listen) -> None:
    server = listen(lambda path, _: said(path))
    door = KeptHttp(SESSION, server.port)
    door.ask("/a")
    assert door.get("/other").body == b"/other"
    door.ask("/a")
    door.ask("/b")
    assert door.get("/b").body == b"/b"
    door.close()


def test_an_answer_that_came_too_late_is_never_the_answer_to_something_else(listen) -> None:
    release = threading.Event()

    def answer(path: str, _: int) -> bytes:
        if path == "/slow":
            release.wait(10)
        return said(path)

    door = KeptHttp(SESSION, listen(answer).port)
    with pytest.raises(Unreachable, match=r"no answer within 0\.05 s"):
        door.get("/slow", timeout=0.05)
    release.set()
    assert door.get("/b").body == b"/b"
    door.close()


def test_what_has_come_already_is_read_after_the_deadline_too(listen) -> None:
    door = KeptHttp(SESSION, listen(lambda path, _: said(path)).port)
    door.get("/a")
    door.ask("/a")
    assert door._stream is not None
    door._stream.settimeout(5)
    while len(door._stream.recv(65536, socket.MSG_PEEK)) < 40:  # type: ignore[call-arg] # a socket's
        pass
    assert door.get("/a", timeout=0.0).body == b"/a"
    door.close()


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (None, Unreachable, "the connection was lost"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", ProtocolError, "did not answer as HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ProtocolError, "chunked"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ProtocolError, "Content-Length: x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", ProtocolError, "more than"),
    ],
)
def test_what_is_no_answer_is_an_error_with_its_reason(listen, answer, error, says) -> None:
    door = KeptHttp(SESSION, listen(lambda *_: answer).port)
    with pytest.raises(error, match=says):
        door.get("/a", timeout=5)


def test_an_answer_without_a_length_ends_with_its_connection(listen) -> None:
    server = listen(lambda path, before: b"HTTP/1.1 200 OK\r\n\r\nhello" if before == 0 else None)
    door = KeptHttp(SESSION, server.port)
    door.ask("/a")
    door._stream.shutdown(socket.SHUT_WR)  # type: ignore[union-attr] # a socket's
    assert door.get("/a").body == b"hello"


def test_an_answer_that_breaks_off_is_an_error(listen) -> None:
    server = listen(lambda path, before: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell" if before == 0 else None)
    door = KeptHttp(SESSION, server.port)
    door.ask("/a")
    door._stream.shutdown(socket.SHUT_WR)  # type: ignore[union-attr] # a socket's
    with pytest.raises(ProtocolError, match="did not answer as HTTP"):
        door.get("/a")


def test_nothing_listens_is_unreachable_and_the_next_get_tries_again() -> None:
    door = KeptHttp(SESSION, 1)
    for _ in range(2):
        with pytest.raises(Unreachable, match="port 1"):
            door.get("/a")


def test_a_token_over_two_lines_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ProtocolError, match="broken over two lines"):
        KeptHttp(SESSION, 1).get("/a", headers={"Authorization": "Bearer a\r\nX: y"})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_an_error_of_http(raw) -> None:
    for data in (raw, b"HTTP/1.1 200 OK\r\n" + raw):
        try:
            parse_head(data)
        except http.client.HTTPException:
            pass
