"""The targets over HTTP for a Prometheus on this machine (http_sd). They hold no secret, but every node's address."""

from __future__ import annotations

import http.server
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from fleet.cli.context import narrate
from fleet.control.actions.scrape import Job
from fleet.errors import FleetError
from fleet.vocabulary.hosts import is_loopback

_JSON = "application/json"


class TargetServer:
    """Serves FOLDER/JOB.json after `renew`; an inventory that is wrong now is an error, so that the old list stays."""

    def __init__(self, place: tuple[str, int], folder: Path, renew: Callable[[], object]) -> None:
        try:
            self._server = _Server(place, folder, renew)
        except OSError as error:
            raise FleetError(f"cannot listen on {place[0]} port {place[1]}: {error.strerror}") from None

    def __enter__(self) -> TargetServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.server_close()

    def url_of(self, job: Job) -> str:
        """Where the targets of a job are."""
        host, port = self._server.server_address[:2]
        text = str(host)
        return f"http://{f'[{text}]' if ':' in text else text}:{port}/{job.targets_name}"

    def serve(self) -> None:
        """Until Ctrl-C."""
        sys.stdout.flush()
        try:
            self._server.serve_forever(poll_interval=0.5)
        except KeyboardInterrupt:
            return


class _Server(http.server.HTTPServer):
    """One request at a time: they renew the same files."""

    def __init__(self, place: tuple[str, int], folder: Path, renew: Callable[[], object]) -> None:
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self.folder, self.renew = folder, renew
        super().__init__(place, _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One request: our own Host name only, so that no page of a browser reads the list by a name of its own."""

    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "localhost").rsplit(":", 1)[0].strip("[]")
        name = self.path.partition("?")[0].removeprefix("/")
        if not is_loopback(host):
            self._answer(421, b"not under that Host name\n", "text/plain")
        elif not name.endswith(".json") or "/" in name or name.startswith("."):
            self._answer(404, b"the targets are at /fleet.json\n", "text/plain")
        else:
            self._targets(self.server.folder / name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        """Nothing: a Prometheus asks every minute."""

    def _targets(self, path: Path) -> None:
        try:
            self.server.renew()
            self._answer(200, path.read_bytes(), _JSON)
        except FleetError as error:
            narrate(error.text)
            self._answer(500, f"{error.title}\n".encode(), "text/plain; charset=utf-8")
        except OSError:
            self._answer(404, b"no such list of targets\n", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)
