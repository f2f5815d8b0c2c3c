"""A TCP connection of our own: no Nagle, kept alive, within a deadline. Standard library only."""

from __future__ import annotations

import socket
import sys
from typing import Any

from fleet.control.link.deadline import Deadline
from fleet.errors import Unreachable

_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPALIVE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))
"""macOS calls the idle time TCP_KEEPALIVE; a name that a system lacks is skipped."""

_UNANSWERED_SECONDS = 60
"""How long sent data may wait for its ACK. Keepalive says nothing while there is some: a cut line would take a quarter
of an hour to be noticed in the middle of an upload."""
_TCP_RXT_CONNDROPTIME = 0x80
"""macOS's name for it (netinet/tcp.h, seconds); Python has none."""

_TCP_INFO_BYTES = 152
"""Of Linux's struct tcp_info (linux/tcp.h), up to and with tcpi_min_rtt."""
_NEVER = 0xFFFFFFFF

FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
"""ssh_config's AddressFamily; `any` and what is not known is any."""


def connect(
    address: str, port: int, *, deadline: Deadline, node: str, family: socket.AddressFamily = socket.AF_UNSPEC
) -> socket.socket:
    """The first address of `address` that answers. Raises Unreachable with cause and advice."""
    where = f"{address} port {port}"
    try:
        found = socket.getaddrinfo(address, port, family=family, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(
            f"cannot find {address}: {error.strerror or error}",
            hint="check `address` in the inventory, DNS, or whether the VPN is up",
            node=node,
            phase="connect",
        ) from None
    last: OSError = TimeoutError("no answer")
    for found_family, kind, proto, _, place in found:
        sock = socket.socket(found_family, kind, proto)
        try:
            sock.settimeout(max(0.05, deadline.left_seconds))
            sock.connect(place)
        except OSError as error:
            sock.close()
            last = error
            continue
        tune(sock)
        return sock
    raise Unreachable(
        f"cannot reach {where}: {_cause(last)}", hint=_advice(last, port), node=node, phase="connect"
    ) from None


def tune(sock: socket.socket) -> None:
    """No Nagle (43 ms a connection, bench/ssh section 0.4); a dead peer is noticed in 35 s, in mid-upload in 60."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_SECONDS * 1000)
    elif sys.platform == "darwin":
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_RXT_CONNDROPTIME, _UNANSWERED_SECONDS)


def round_trip_seconds(sock: Any) -> float | None:
    """The shortest round trip that the kernel has seen on a connection; None where it does not say (macOS, a channel).

    What a program measures is mostly how busy the other side is.
    """
    if not isinstance(sock, socket.socket) or not sys.platform.startswith("linux"):
        return None
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(told) < _TCP_INFO_BYTES:
        return None
    microseconds = int.from_bytes(told[-4:], sys.byteorder)
    return microseconds / 1e6 if 0 < microseconds < _NEVER else None


def _cause(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error)).lower()


def _advice(error: OSError, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return (
            f"the machine is up but nothing listens on {port}: is Remote Login on "
            "(System Settings > General > Sharing), and is this the right port?"
        )
    if isinstance(error, TimeoutError):
        return (
            "is it powered, awake and on this network? After a power cut a Mac with FileVault waits for its\n"
            "password before anything of ours runs"
        )
    return "is it powered, and is there a route (VPN) to it?"
