"""Who may change what root is going to run: every name on the way to a path, as the probe saw it. Pure and total."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"([-dlbcps][-rwxsStT]{9})[@+.]? (\d{1,10}) (\d{1,10}) (/.*)")


@dataclass(frozen=True)
class Place:
    """A file, folder or link: its mode as `ls` writes it, and its owners by number."""

    path: str
    mode: str
    uid: int
    gid: int

    @property
    def weakness(self) -> str | None:
        """How an account that is not root could turn it into something else; None when none can.

        ACLs are not looked at. What a link's mode says means nothing.
        """
        if self.uid != 0:
            return f"{self.path} belongs to uid {self.uid}, not to root"
        if self.mode.startswith("l"):
            return None
        if self.mode[8] == "w":
            return f"everybody may write to {self.path}"
        if self.mode[5] == "w" and self.gid != 0:
            return f"gid {self.gid} may write to {self.path}"
        return None


def parse_places(text: str) -> tuple[Place, ...]:
    """Lines of MODE UID GID PATH. Others are not read."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return tuple(Place(path=one[4], mode=one[1], uid=int(one[2]), gid=int(one[3])) for one in found if one)


def weakness_of(places: tuple[Place, ...]) -> str | None:
    """The first weakness on the way, from `/` down."""
    return next((place.weakness for place in places if place.weakness), None)
