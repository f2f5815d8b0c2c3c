"""A gateway's admin door as the agent needs it, on a real port: a pace of the test's choice, intents that are kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from fleet.node.gateway.intent import Wishes, apply, report
from fleet.vocabulary.contracts.gateway_admin import IntentRequest, NodeIntent, PaceReport, UpstreamPace
from fleet.vocabulary.names import Intent


class AdminDoor:
    """What it says and keeps. `asked` lists the intents that came in; `refuses` is a status for everybody."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.port = 0
        self.paces: dict[str, UpstreamPace] = {}
        self.window_seconds = 60.0
        self.wishes: Wishes = {}
        self.asked: list[IntentRequest] = []
        self.refuses: int | None = None
        self.garbage = False

    def pace(self, name: str, port: int, **said: Any) -> None:
        """Say this of a sidecar from now on."""
        self.paces[name] = UpstreamPace(name=name, serves=name, port=port, **said)

    def want(self, intent: Intent, *, by: str) -> None:
        """Somebody wants something of all sidecars."""
        self.wishes = apply(self.wishes, IntentRequest(intent=intent, by=by), sidecars=self.paces, now=time.time())

    def answer(self, method: str, path: str, body: bytes, *, shown: str) -> tuple[int, bytes]:
        """Status and body of one request."""
        if self.refuses is not None or shown != f"Bearer {self.token}":
            return self.refuses or 401, b"{}"
        if self.garbage:
            return 200, b"[[["
        if path == "/admin/pace":
            pace = PaceReport(node="mini-1", window_seconds=self.window_seconds, upstreams=tuple(self.paces.values()))
            return 200, msgspec.json.encode(pace)
        if path != "/admin/intent":
            return 404, b"{}"
        if method == "POST":
            asked = msgspec.json.decode(body, type=IntentRequest)
            self.asked.append(asked)
            self.wishes = apply(self.wishes, asked, sidecars=self.paces, now=time.time())
        in_flight = {name: one.in_flight for name, one in self.paces.items()}
        return 200, msgspec.json.encode(
            NodeIntent(node="mini-1", sidecars=report(self.wishes, in_flight, now=time.time()))
        )


@contextmanager
def admin_door(token: str) -> Iterator[AdminDoor]:
    """A door that is open while the context lasts."""
    door = AdminDoor(token)

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            """Nothing is logged."""

        def do_GET(self) -> None:
            """A question."""
            self._answer("GET")

        def do_POST(self) -> None:
            """A wish."""
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = door.answer(method, self.path, body, shown=self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    door.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
