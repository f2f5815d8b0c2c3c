"""A line that is cut in the middle of an upload is noticed within a minute, not when TCP itself gives up."""

from __future__ import annotations

import socket
import sys

import pytest

from fleet.control.link import tcp
from fleet.control.link.deadline import Deadline


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="the option has a name on Linux and macOS")
def test_data_that_nobody_acknowledges_ends_the_connection_within_a_minute() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = tcp.connect("127.0.0.1", listener.getsockname()[1], deadline=Deadline.after(5), node="mini-1")
        with sock:
            option, unit = (socket.TCP_USER_TIMEOUT, 1000) if sys.platform == "linux" else (0x80, 1)
            assert 0 < sock.getsockopt(socket.IPPROTO_TCP, option) <= 60 * unit
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
