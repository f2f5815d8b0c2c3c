"""A server by its base URL: this machine's own MLX, or an API. Standard library only; TLS as the system trusts it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from fleet.errors import ProtocolError, Unreachable, UsageError
from fleet.practice.harness.door import NotSent
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.secret import Secret

_MOST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class UrlReading:
    """An answer of a server behind a URL."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class UrlDoor:
    """`base` ends where `/chat/completions` begins. `silence_seconds` bounds each wait for more.

    Raises UsageError for what is no such URL, and for a key that would go over the network unencrypted.
    """

    def __init__(self, base: str, *, key: Secret | None = None, silence_seconds: float = 300.0) -> None:
        try:
            parts = urlsplit(base)
            port = parts.port
        except ValueError as problem:
            raise UsageError(f"{base}: {problem}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError(f"{base} is no base URL", hint="https://HOST/v1, without a key in it")
        if key is not None and parts.scheme == "http" and not is_loopback(parts.hostname):
            raise UsageError(f"the key would go to {parts.hostname} unencrypted", hint="use https://")
        if key is not None and not _fits_header(key.reveal()):  # http.client would print it in its complaint
            raise UsageError(
                f"the key for {parts.hostname} is none", hint="a key is one line of plain ASCII, no blanks"
            )
        if not _fits_header(parts.path or "/"):
            raise UsageError(f"{base} is no base URL", hint="blanks and other letters are written %20, %C3%BC")
        self.host = parts.hostname
        self._port = port
        self._secure = parts.scheme == "https"
        self._path = parts.path.rstrip("/")
        self._key = key
        self._silence = silence_seconds

    @contextmanager
    def ask(self, body: bytes) -> Iterator[UrlReading]:
        """See Door."""
        with self._exchange("POST", "/chat/completions", body) as reading:
            yield reading

    def models(self) -> bytes:
        """See Door."""
        with self._exchange("GET", "/models", None) as reading:
            data = b"".join(reading.chunks)
        if reading.status != 200:
            raise ProtocolError(f"{self.host} lists no models (HTTP {reading.status})")
        return data

    @contextmanager
    def _exchange(self, method: str, path: str, body: bytes | None) -> Iterator[UrlReading]:
        connection = self._connection()
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        try:
            connection.connect()
        except (OSError, ValueError) as problem:
            connection.close()
            raise NotSent(f"{self.host} cannot be reached: {_why(problem)}") from None
        try:
            connection.request(method, self._path + path, body=body, headers=headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            yield UrlReading(answer.status, found, self._chunks(answer))
        except (http.client.HTTPException, OSError) as problem:
            raise self._shut(problem) from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self.host, self._port, timeout=self._silence, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self.host, self._port, timeout=self._silence)

    def _chunks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        size = 0
        try:
            while data := answer.read1(65536):
                size += len(data)
                if size > _MOST_BYTES:
                    raise ProtocolError(f"{self.host} sent more than {_MOST_BYTES} bytes")
                yield data
        except (http.client.HTTPException, OSError) as problem:
            raise self._shut(problem) from None

    def _shut(self, problem: Exception) -> Unreachable | ProtocolError:
        if isinstance(problem, TimeoutError):
            return Unreachable(f"{self.host} fell silent for {self._silence:g} s")
        if isinstance(problem, OSError) and not isinstance(problem, http.client.HTTPException):
            return Unreachable(f"{self.host}: {_why(problem)}")
        return ProtocolError(f"{self.host} did not answer as HTTP: {_why(problem)}")


def _fits_header(text: str) -> bool:
    """Whether it can stand in a line of HTTP as it is."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _why(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
