"""paramiko's Transport, tuned as bench/ssh/REPORT section 5 measured it."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import paramiko

from fleet.control.link import tcp
from fleet.control.link.deadline import Deadline

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
KEEPALIVE_SECONDS = 15
_CAN_QUICKACK = hasattr(socket, "TCP_QUICKACK")


class Heard:
    """A socket that knows whether the server has said anything.

    Over TCP it acknowledges at once (Linux), so that the server's Nagle never waits 40 ms for our delayed ACK.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._quick = _CAN_QUICKACK and sock.family in (socket.AF_INET, socket.AF_INET6)
        self.heard = False

    @property
    def round_trip_seconds(self) -> float | None:
        """Of the connection below, as the kernel knows it."""
        return tcp.round_trip_seconds(self._sock)

    def recv(self, limit: int) -> bytes:
        """Some bytes; none at the end."""
        data: bytes = self._sock.recv(limit)
        self.heard = self.heard or bool(data)
        if self._quick:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class JumpChannel:
    """A channel of a jump host as the socket of another connection. Its end is no error when the jump host is gone."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def close(self) -> None:
        """Give it back."""
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


class TunedTransport(paramiko.Transport):
    """Fast ciphers first, no slow key exchange, every handshake wait bounded; asleep while nothing comes."""

    def close(self) -> None:
        """End the connection. The reading thread, which may sleep for `KEEPALIVE_SECONDS`, wakes and ends at once."""
        if self.is_active() and isinstance(self.sock, Heard):
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        super().close()

    @property
    def dropped(self) -> bool:
        """Whether the server hung up before it said a word, as sshd does beyond its MaxStartups."""
        return not self.remote_version and not getattr(self.sock, "heard", False)

    def _parse_global_request(self, message: paramiko.Message) -> None:
        # sshd announces its host keys and then waits for our ACK (its own Nagle). Where there is no TCP_QUICKACK
        # (macOS), one ignored packet carries the ACK.
        super()._parse_global_request(message)  # type: ignore[misc] # the stubs lack it
        if not _CAN_QUICKACK:
            self.send_ignore(1)


def tuned(sock: Any, *, key_types: tuple[str, ...], deadline: Deadline) -> TunedTransport:
    """A transport over a socket, channel or proxy command. Nothing is sent yet."""
    carrier: Any = sock if isinstance(sock, JumpChannel) else Heard(sock)
    transport = TunedTransport(carrier)
    options = transport.get_security_options()
    options.ciphers = (*CIPHERS, *(name for name in options.ciphers if name not in CIPHERS))
    options.kex = tuple(name for name in options.kex if not name.startswith("diffie-hellman"))
    wanted = tuple(name for name in key_types if name in options.key_types)
    options.key_types = (*wanted, *(name for name in options.key_types if name not in wanted))
    left = deadline.left_seconds
    transport.banner_timeout = left
    transport.handshake_timeout = left
    transport.auth_timeout = left
    transport.channel_timeout = left
    return transport


def rest(transport: paramiko.Transport) -> None:
    """After the handshake: wake for what comes and for keepalives only.

    paramiko looks ten times a second whether it was closed: 2 % of a core for a hundred idle connections. Here `close`
    tells it.
    """
    transport.sock.settimeout(KEEPALIVE_SECONDS)
