"""Trouble that can be injected into a simulated node: words into values. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from fleet.errors import UsageError


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how its value is written, what it does, and whether it stays until cleared."""

    name: str
    value: str
    meaning: str
    check: Callable[[str], bool]
    lasting: bool = True


@dataclass(frozen=True)
class Fault:
    """One fault with its value; the value of a switch is `1`."""

    name: str
    value: str


def _one_of(*words: str) -> Callable[[str], bool]:
    return lambda value: value in words


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


_DURATION = r"\d+(\.\d+)?(ms|s)"
_SIZE = r"\d+(\.\d+)?(M|MB|MiB|G|GB|GiB)?"
_PART = r"0\.\d{1,4}"
_SERVICE = r"[\w.,-]+"
_SWITCH = _one_of("1")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("thermal", "0-4|missing|failed", "thermal pressure level", _one_of(*"01234", "missing", "failed")),
        Kind("pressure", "1|2|4", "memory pressure level", _matches(r"\d+")),
        Kind("swap", "SIZE", "swap in use, such as 2GiB", _matches(_SIZE)),
        Kind("swap-rate", "SIZE", "a swap storm: so much is swapped out a second, such as 200MiB", _matches(_SIZE)),
        Kind("loading", "[SIZE]", "a model is mapped: so much is read from files a second", _matches(_SIZE)),
        Kind("headroom", "SIZE", "what is left under the GPU wired limit, such as 512MiB", _matches(_SIZE)),
        Kind("wired-limit", "SIZE|0", "the GPU wired limit, until it is set again; 0: lost", _matches(_SIZE)),
        Kind("decode", "RATIO", "the sidecars run only so much of the time, such as 0.3", _matches(_PART)),
        Kind("zombie", "[SERVICE]", "takes connections and never answers, until it is restarted", _matches(_SERVICE)),
        Kind("crash", "[SERVICE]", "what launchd starts of it ends at once", _matches(_SERVICE)),
        Kind("down", "", "powered off: SSH refuses, every daemon is dead", _SWITCH),
        Kind("slow", "TIME", "added to every SSH round trip, such as 200ms", _matches(_DURATION)),
        Kind("disk-full", "", "no file grows past 32 KiB", _SWITCH),
        Kind("pended", "[WHY]", "launchd puts off spawns that nobody demanded", _matches(r"[a-z0-9]+")),
        Kind("noise", "[TEXT]", "the login shell prints before every command", _matches(r".+")),
        Kind("sudo", "refused|password|nopasswd", "what sudo says", _one_of("refused", "password", "nopasswd")),
        Kind("hold", "SERVICE", "launchd refuses to run it (sidecar, sidecar.chat, a label)", _matches(_SERVICE)),
        Kind("kickstart-signal", "kill|term", "the first signal of kickstart -k", _one_of("kill", "term")),
        Kind("bootout-code", "0|36", "what bootout answers while the process lives", _one_of("0", "36")),
        Kind("disabled-code", "5|119", "what bootstrap of a disabled label answers", _one_of("5", "119")),
        Kind("busy-code", "5|37", "what bootstrap answers while the label is being removed", _one_of("5", "37")),
        Kind("clock", "[+|-]SECONDS", "the Mac's clock is off by as much", _matches(r"[+-]?\d{1,9}")),
        Kind("uptime", "DAYS", "it started that many days ago", _matches(r"\d{1,4}")),
        Kind("time-wait", "COUNT", "closed TCP connections that are still kept", _matches(r"\d{1,5}")),
        Kind("disk", "RATIO|SIZE", "room on its disk, such as 0.04 or 5GB", _matches(f"{_PART}|{_SIZE}")),
        Kind("firewall", "on|block", "the application firewall; `block` takes every incoming", _one_of("on", "block")),
        Kind("updates", "", "macOS installs its updates by itself", _SWITCH),
        Kind("desktop", "", "somebody is logged in at the desktop: gui/UID exists", _SWITCH),
        Kind("os", "VERSION[:BUILD]", "the macOS version", _matches(r"\d+(\.\d+){1,2}(:\w+)?")),
        Kind("filevault", "on|off", "with it on, a reboot ends at the unlock screen", _one_of("on", "off")),
        Kind("reboot", "", "restart in good order", _SWITCH, lasting=False),
        Kind("panic", "", "the kernel panics and the machine restarts", _SWITCH, lasting=False),
        Kind("unlock", "", "somebody unlocks FileVault", _SWITCH, lasting=False),
        Kind("cut", "", "every SSH connection breaks in mid-word", _SWITCH, lasting=False),
        Kind("host-key", "", "the node gets another SSH host key", _SWITCH, lasting=False),
    )
}  # fmt: skip

NEED_DAEMONS = frozenset({"crash", "decode", "loading", "swap-rate", "zombie"})
"""Faults of processes, and of what an agent alone would see: a light node has neither."""

_DEFAULTS = {
    "pended": "auto",
    "noise": "Last login: Sun Nov 22 04:36:12 on console",
    "loading": "1GiB",
    "zombie": "sidecar",
    "crash": "sidecar",
}
_FORMER_NAMES = {"free": "disk"}


def kind_name(name: str) -> str:
    """The name of a kind, where an older simulation called it otherwise."""
    return _FORMER_NAMES.get(name, name)


def parse_fault(text: str) -> Fault:
    """`thermal=2`, `down`, `slow=200ms`. Raises UsageError that names the kinds or the form of the value."""
    name, _, value = text.partition("=")
    name = kind_name(name)
    kind = KINDS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, KINDS, n=1)
        raise UsageError(
            f"no fault is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            hint="faults: " + ", ".join(KINDS),
        )
    value = value or _DEFAULTS.get(name, "1")
    if not kind.check(value):
        form = f"{name}={kind.value}" if kind.value else name
        raise UsageError(f"{text!r} is not a fault", hint=f"write it as {form}: {kind.meaning}")
    return Fault(name, value)


def seconds_of(text: str) -> float:
    """`200ms` or `1.5s` in seconds."""
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


def is_part(text: str) -> bool:
    """Whether it is a part of something, such as `0.25`, and no size."""
    return re.fullmatch(_PART, text) is not None


def bytes_of(text: str) -> int:
    """`512M`, `2GiB`, or bare bytes."""
    match = re.fullmatch(r"([\d.]+)([MG]?)\w*", text)
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * {"": 1, "M": 1024**2, "G": 1024**3}[match[2]])
