"""HTTP over a session and straight, against servers that answer, stall, break off or show another key."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fleet.control.link import http
from fleet.errors import HostKeyError, ProtocolError, Unreachable
from fleet.testing.link import FakeSession
from fleet.vocabulary.pins import pin_of

SESSION = FakeSession({}, node="mini-1")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("X-Kind", "Test")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"data: 1\n", b"\ndata: 2", b"\n\n"):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        if self.path == "/stall":
            self.server.release.wait(5)  # type: ignore[attr-defined]
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.seen = []  # type: ignore[attr-defined]
        server.release = threading.Event()  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.release.set()  # type: ignore[attr-defined]
        server.shutdown()


def certificate(folder: Path, name: str) -> tuple[Path, Path, str]:
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN={name} "
        f"-keyout {key} -out {cert}",
        shell=True,
        check=True,
        capture_output=True,
    )
    return key, cert, pin_of(ssl.PEM_cert_to_DER_cert(cert.read_text()))


@pytest.fixture
def secure(server: ThreadingHTTPServer, tmp_path: Path) -> tuple[int, str]:
    key, cert, pin = certificate(tmp_path, "edge")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.server_address[1], pin


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes], int]]:
    """A server that says these bytes to whoever comes, then hangs up."""
    listeners: list[socket.socket] = []

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            peer, _ = listener.accept()
            peer.recv(65536)
            peer.sendall(answer)
            peer.close()

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for listener in listeners:
        listener.close()


def test_a_chunked_answer_comes_whole_with_lower_case_headers(server: ThreadingHTTPServer) -> None:
    answer = http.get(SESSION, server.server_address[1], "/x")
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (200, b"data: 1\n\ndata: 2\n\n", "Test")


def test_a_post_is_answered_whatever_its_status(server: ThreadingHTTPServer) -> None:
    answer = http.post(SESSION, server.server_address[1], "/x", body=b"abc")
    assert (answer.status, answer.body) == (404, b"cba")


def test_a_stream_gives_lines_as_they_come(server: ThreadingHTTPServer) -> None:
    with http.stream(SESSION, server.server_address[1], "/stall") as answer:
        lines = answer.lines()
        assert [next(lines), next(lines), next(lines)] == [b"data: 1", b"", b"data: 2"]
        server.release.set()  # type: ignore[attr-defined]
        assert list(lines) == [b""]


def test_an_answer_that_stalls_meets_the_deadline(server: ThreadingHTTPServer) -> None:
    port = server.server_address[1]
    with pytest.raises(Unreachable, match="no answer within"):
        http.get(SESSION, port, "/stall", timeout=0.3)
    with (
        pytest.raises(Unreachable, match="no answer within"),
        http.stream(SESSION, port, "/stall", timeout=0.3) as answer,
    ):
        answer.read()


def test_the_pinned_key_is_talked_to_over_a_session_and_straight(secure: tuple[int, str]) -> None:
    port, pin = secure
    assert http.get(SESSION, port, "/", tls_pin=pin).status == 200
    with http.https_pinned("127.0.0.1", port, "/", pin=pin, headers={"Authorization": "Bearer k"}) as answer:
        assert answer.read().startswith(b"data: 1")


def test_another_tls_key_stops_before_the_request_is_sent(
    server: ThreadingHTTPServer, secure: tuple[int, str], tmp_path: Path
) -> None:
    port, shown = secure
    _, _, other = certificate(tmp_path, "other")
    headers = {"Authorization": "Bearer secret"}
    with pytest.raises(HostKeyError) as caught, http.https_pinned("127.0.0.1", port, "/", pin=other, headers=headers):
        pass
    assert other in caught.value.detail
    assert shown in caught.value.detail
    with pytest.raises(HostKeyError):
        http.get(SESSION, port, "/", tls_pin=other, headers=headers)
    assert server.seen == []  # type: ignore[attr-defined]


def test_tls_asked_of_a_plain_server_is_said_so(raw_server: Callable[[bytes], int]) -> None:
    with pytest.raises(Unreachable, match="TLS failed"):
        http.get(SESSION, raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "/", tls_pin="sha256//x")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ProtocolError),
        (b"SSH-2.0-OpenSSH\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", ProtocolError),
    ],
)
def test_a_broken_answer_is_an_error_never_a_short_body(
    raw_server: Callable[[bytes], int], answer: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        http.get(SESSION, raw_server(answer), "/")


def test_a_port_where_nothing_listens_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1 port {port}"):
        http.get(SESSION, port, "/")
    with pytest.raises(Unreachable), http.https_pinned("127.0.0.1", port, "/", pin=None, node="mini-1"):
        pass


def test_a_body_that_comes_after_a_head_with_connection_close_is_read_to_its_end() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    head_seen = threading.Event()

    def serve() -> None:
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        head_seen.wait(10)
        peer.sendall(b"7\r\nlate on\r\n0\r\n\r\n")
        peer.close()

    threading.Thread(target=serve, daemon=True).start()
    with http.https_pinned("127.0.0.1", listener.getsockname()[1], "/", pin=None) as answer:
        head_seen.set()
        assert answer.read() == b"late on"
    listener.close()
