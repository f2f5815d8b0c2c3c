"""A forwarded connection: what `ssh -W` and `ssh -J` ask of a node."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh


async def forward(host: str, port: int) -> _Forwarding:
    """Connect to `host`, and carry bytes between it and the channel that asked. Raises asyncssh.ChannelOpenError."""
    try:
        _, target = await asyncio.get_running_loop().create_connection(asyncssh.SSHForwarder, host, port)
    except OSError as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from None
    return _Forwarding(target)


class _Forwarding(asyncssh.SSHForwarder):  # type: ignore[misc] # asyncssh is not imported by mypy
    """The side of the channel. Each side may end its own stream first, and the other goes on; after both it is closed.

    asyncssh's own closes only when the client was the first: when the target was (an sshd that turns a jump away), the
    channel stayed open with nothing more to come, and the client waited for its end forever.
    """

    def __init__(self, target: Any) -> None:
        super().__init__(target)
        self._target = target

    def eof_received(self) -> bool:
        """The client sends no more."""
        super().eof_received()
        if self._target.was_eof_received():
            self.close()
        return True
