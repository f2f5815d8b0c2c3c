"""How many bytes of requests a gateway holds at once. One that is too many is turned away before it is read."""

from __future__ import annotations

from fleet.traffic.openai_error import ApiError, Refused

_MIB = 1024 * 1024


class Bodies:
    """Bytes of bodies that are read or being answered; what they become in memory is several times as much."""

    def __init__(self) -> None:
        self.held_bytes = 0

    def take(self, size_bytes: int, *, most_bytes: int) -> None:
        """Make room for a body, one always. Raises Refused when there is none now."""
        if self.held_bytes and self.held_bytes + size_bytes > most_bytes:
            raise Refused(
                ApiError(
                    status=503,
                    message=f"this gateway holds {self.held_bytes // _MIB} MiB of requests; ask again in a moment",
                    type="upstream_error",
                    code="too_many_bytes",
                    retry_after_seconds=2,
                )
            )
        self.held_bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Its request is over, or smaller than was said."""
        self.held_bytes -= size_bytes
