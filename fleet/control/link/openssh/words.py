"""What ssh says on stderr while it logs in (LogLevel DEBUG1), and what that means for a person. Total and pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleet.control.link.again import Dropped
from fleet.control.link.hostkeys import PinPolicy, fingerprint
from fleet.control.link.protocol import Target
from fleet.errors import AuthError, FleetError, HostKeyError, Unreachable, UsageError

_MOST_WORDS = 12
_PLACE = re.compile(r"Authenticating to (.*):([0-9]+) as '(.*)'")
_SHOWN = re.compile(r"Server host key: (\S+) (SHA256:\S+)")
_OFFERED = re.compile(r"(?:Offering public key|Trying private key): (.*)")
_ACCEPTED = re.compile(r"Server accepts key: (.*) (\S+) (SHA256:\S+)(?: .*)?")
_URL = re.compile(r"https://\S+")
_DROPPED = re.compile(r"(?:kex|ssh)_exchange_identification: |banner exchange: |Connection (?:closed|reset) by ")
_NOISE = ("@@@", "Transferred: ", "Bytes per second: ", "Authenticated to ", "Warning: Permanently added")
_ADVICE = (
    ("could not resolve hostname", "check `address` in the inventory, DNS, or whether the VPN is up"),
    ("connection refused", "is Remote Login on (System Settings > General > Sharing), and is this the right port?"),
    ("timed out", "is it powered, awake and on this network?"),
    ("no route to host", "is it powered, and is there a route (VPN) to it?"),
)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What is known of a login so far. `words` are ssh's own, without its debugging."""

    place: str | None = None
    user: str | None = None
    shown: tuple[str, str] | None = None
    offered: tuple[str, ...] = ()
    accepted: tuple[str, str] | None = None
    ready: bool = False
    words: tuple[str, ...] = ()

    @property
    def touch(self) -> str | None:
        """The security key that waits for a touch, by its file or comment."""
        if self.accepted is None or self.ready:
            return None
        name, kind = self.accepted
        return name if "-SK" in kind.upper() else None

    @property
    def url(self) -> str | None:
        """An address that the node wants a person to open before it lets anybody in (Tailscale SSH)."""
        found = _URL.search("\n".join(self.words))
        return found[0] if found and not self.ready else None

    @property
    def reason(self) -> str:
        """What ssh said last."""
        return "\n".join(self.words[-5:])


@dataclass(frozen=True, kw_only=True)
class Login:
    """What `said` was about, and the fingerprint of the key that was accepted."""

    said: Said
    key_fingerprint: str | None = None

    def after(self, line: str) -> Login:
        """With one more line of stderr."""
        text, said = line.rstrip("\r\n"), self.said
        if not text.startswith("debug"):
            if not text.strip() or text.startswith(_NOISE):
                return self
            return replace(self, said=replace(said, words=(*said.words, text[-300:])[-_MOST_WORDS:]))
        body = text.partition(": ")[2]
        if match := _PLACE.fullmatch(body):
            return replace(self, said=replace(said, place=f"{match[1]} port {match[2]}", user=match[3]))
        if match := _SHOWN.fullmatch(body):
            return replace(self, said=replace(said, shown=(match[1], match[2])))
        if match := _ACCEPTED.fullmatch(body):
            return replace(self, said=replace(said, accepted=(match[1], match[2])), key_fingerprint=match[3])
        if match := _OFFERED.fullmatch(body):
            return replace(self, said=replace(said, offered=(*said.offered, match[1])))
        if body.startswith("Entering interactive session"):
            return replace(self, said=replace(said, ready=True))
        return self


def heard(lines: Iterable[str]) -> Login:
    """All of a login's lines."""
    login = Login(said=Said())
    for line in lines:
        login = login.after(line)
    return login


def wrong_key(said: Said, target: Target) -> HostKeyError | None:
    """The refusal when the node shows another key than the pinned one; None while it does not."""
    if said.shown is None or target.host_key is None or said.shown[1] == _print_of(target.host_key):
        return None
    policy = PinPolicy((target.host_key,), node=target.node, where=said.place or target.address)
    return policy.refusal(f"{said.shown[1]} ({said.shown[0]})")


def failure(said: Said, target: Target) -> FleetError:
    """Why a login ended, as an error for people."""
    low = "\n".join(said.words).lower()
    where = said.place or target.address
    if (wrong := wrong_key(said, target)) is not None:
        return wrong
    if "host key verification failed" in low:
        return HostKeyError(
            "the SSH key of a host on the way to it (ProxyJump, ProxyCommand) is not the known one",
            detail=said.reason,
            hint="log in there once with ssh, and compare the fingerprint",
            node=target.node,
            phase="connect",
        )
    if "bad configuration option" in low or "bad owner or permissions" in low or "command-line line 0" in low:
        return UsageError(
            "ssh does not take its options",
            detail=said.reason,
            hint="`link: openssh` wants OpenSSH 8.5 or later, and an ssh_config that `ssh -G HOST` can read",
            node=target.node,
        )
    if said.shown is not None and ("permission denied" in low or "too many authentication failures" in low):
        offered = "".join(f"\noffered: {name}" for name in said.offered) or "\nno key was offered"
        return AuthError(
            f"{where} refused {said.user or target.user or 'us'}",
            detail=f"{said.reason}{offered}",
            hint=(
                f"does `ssh {target.address}` work? BatchMode asks for no passphrase: ssh-add the key first;\n"
                "`ssh_user` and `ssh_key_file` say who and with what"
            ),
            node=target.node,
            phase="connect",
        )
    advice = next((text for words, text in _ADVICE if words in low), f"does `ssh {target.address}` work?")
    dropped = said.shown is None and bool(said.words) and all(map(_DROPPED.match, said.words))
    kind = Dropped if dropped else Unreachable
    return kind(f"no SSH connection with {where}", detail=said.reason, hint=advice, node=target.node, phase="connect")


def late(said: Said, target: Target) -> Unreachable:
    """Why a login did not end in time."""
    where = said.place or target.address
    if said.touch is not None:
        what, hint = f"nobody touched the security key {said.touch}", "the same command again waits for a touch again"
    elif said.url is not None:
        what, hint = f"{where} waits for somebody to open {said.url}", "open it, then the same command again"
    else:
        what = f"no SSH connection with {where}: no answer in time"
        hint = "the machine may be asleep, swapping, or something else listens there"
    return Unreachable(what, detail=said.reason, hint=hint, node=target.node, phase="connect")


def _print_of(pin: str) -> str | None:
    try:
        return fingerprint(pin)
    except ValueError:
        return None
