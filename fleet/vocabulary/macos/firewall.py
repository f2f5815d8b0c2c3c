"""`socketfilterfw`: the application firewall. Standard library only. Reading needs no root."""

from __future__ import annotations

import re

_STATE = re.compile(r"\(State = ([0-9])\)")
_BLOCK_ALL = re.compile(r"block all state set to (enabled|disabled)", re.IGNORECASE)


def parse_firewall(text: str) -> bool | None:
    """Whether it is on, from `--getglobalstate`: state 0 is off, 1 on, 2 on for everything."""
    match = _STATE.search(text)
    return {"0": False, "1": True, "2": True}.get(match[1]) if match else None


def parse_block_all(text: str) -> bool | None:
    """Whether it blocks every incoming connection, from `--getblockall`."""
    match = _BLOCK_ALL.search(text)
    return match[1].lower() == "enabled" if match else None


def parse_app_blocked(text: str) -> bool | None:
    """Whether one program is blocked, from `--getappblocked FILE`; unknown for one that the firewall does not list.

    No recording of it was found: any other wording is unknown.
    """
    words = text.lower()
    if "not part of" in words or "not exist" in words:
        return None
    if "permitted" in words or "allowed" in words:
        return False
    return True if "blocked" in words else None
