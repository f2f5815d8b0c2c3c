"""The link over the ssh binary: one process per session, a control master whose socket carries commands and ports."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.control.link.again import Patience
from fleet.control.link.deadline import Deadline
from fleet.control.link.hostkeys import PinPolicy
from fleet.control.link.openssh.argv import KNOWN_HOSTS_NAME, PIN_NAME, SOCKET_NAME, key_argv, master_argv
from fleet.control.link.openssh.channel import MuxChannel, MuxStream
from fleet.control.link.openssh.mux import Opened, Refused, open_forward, open_session
from fleet.control.link.openssh.process import Kept, private_folder
from fleet.control.link.openssh.words import Login, Said, failure, late, wrong_key
from fleet.control.link.protocol import CONNECT_SECONDS, WAIT_SECONDS, Channel, Session, Stream, Target
from fleet.errors import Unreachable, UsageError

_PERSON_SECONDS = 60.0
"""What a login may take longer once a person is asked to do something."""

Tell = Callable[[str, str], None]
"""Told a node and what it waits for."""


class OpenSshSession:
    """One authenticated connection."""

    def __init__(self, kept: Kept, folder: Path, login: Login, *, node: str) -> None:
        self._kept = kept
        self._path = folder / SOCKET_NAME
        self._login = login
        self._node = node

    @property
    def node(self) -> str:
        """Whose it is."""
        return self._node

    @property
    def key_fingerprint(self) -> str | None:
        """Of our key that the node accepted, `SHA256:...`; None when it asked for none (Tailscale SSH)."""
        return self._login.key_fingerprint

    def exec(self, command: str, *, within_seconds: float = WAIT_SECONDS) -> Channel:
        """Start `command` (one line for the login shell: see vocabulary.argv.posix)."""
        opened = self._asked(
            lambda deadline: open_session(self._path, command, deadline=deadline), "open a session", within_seconds
        )
        return MuxChannel(opened, path=self._path, node=self._node, reason=self._reason)

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = WAIT_SECONDS) -> Stream:
        """A connection to a port as the node sees it."""
        try:
            opened = self._asked(
                lambda deadline: open_forward(self._path, host, port, deadline=deadline),
                f"reach {host} port {port}",
                within_seconds,
            )
        except _NotOpened:
            words = self._reason().rpartition("open failed: ")[2] or "refused"
            raise Unreachable(
                f"nothing answers on {host} port {port} of the node ({words.splitlines()[-1].lower()})",
                hint="is the service running? fleet status shows it",
                node=self._node,
            ) from None
        return MuxStream(opened)

    def close(self) -> None:
        """End the connection. Safe to call twice."""
        self._kept.close()

    def _asked(self, ask: Callable[[Deadline], Opened], what: str, within_seconds: float) -> Opened:
        self._reason()  # or ssh's own words would fill their pipe in the end
        try:
            return ask(Deadline.after(within_seconds))
        except Refused as refused:
            raise _NotOpened(
                f"the node did not {what}: {refused}", hint="try again; is it overloaded?", node=self._node
            ) from None
        except TimeoutError:
            raise Unreachable(f"the node did not {what} within {within_seconds:g} s", node=self._node) from None
        except OSError:
            raise Unreachable(
                f"the node did not {what}: the connection was lost",
                detail=self._reason(),
                hint="the same command again goes on where this one stopped",
                node=self._node,
            ) from None

    def _reason(self) -> str:
        """What ssh said last about the connection."""
        for line in self._kept.lines(Deadline.after(0)):
            self._login = self._login.after(line)
        return self._login.said.reason


class _NotOpened(Unreachable):
    """The node, or the master, said no."""


@dataclass(frozen=True, kw_only=True)
class OpenSshLink:
    """Sessions by the user's ssh, with the user's ssh_config (`config` None) and the pins of the inventory.

    `tell` hears when ssh waits for a person: a security key to touch, an address to open.
    """

    tell: Tell = lambda node, text: None  # noqa: ARG005 (nobody to tell)
    config: Path | None = None
    program: str | None = None
    patience: Patience = Patience(time.sleep)  # noqa: RUF009 (frozen)

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        """A session with the node behind its pinned key. Raises Unreachable, HostKeyError, AuthError."""
        deadline = Deadline.after(deadline_seconds)
        if target.host_key is None:
            shown = self.host_key(target, deadline_seconds=deadline_seconds)
            PinPolicy((), node=target.node, where=target.address).check(shown)
        person = _PERSON_SECONDS if deadline_seconds >= CONNECT_SECONDS else 0.0
        return self.patience.until_let_in(lambda: self._master(target, deadline, person), deadline=deadline)

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:
        """The key that the node shows, `ssh-ed25519 AAAA...`; nothing is offered to it. Raises Unreachable."""
        deadline = Deadline.after(deadline_seconds)
        return self.patience.until_let_in(lambda: self._shown(target, deadline), deadline=deadline)

    def close(self) -> None:
        """Sessions share nothing."""

    def _master(self, target: Target, deadline: Deadline, person_seconds: float) -> Session:
        program, folder = self._ssh(), private_folder()
        (folder / KNOWN_HOSTS_NAME).write_text(f"{PIN_NAME} {target.host_key}\n")
        seconds = deadline.left_seconds
        argv = master_argv(program, target, folder=folder, connect_seconds=seconds, config=self.config)
        kept = Kept(argv, folder=folder)
        try:
            login = self._logged_in(kept, target, deadline, person_seconds)
        except BaseException:
            kept.close()
            raise
        return OpenSshSession(kept, folder, login, node=target.node)

    def _logged_in(self, kept: Kept, target: Target, deadline: Deadline, person_seconds: float) -> Login:
        login, asked = Login(said=Said()), False
        while True:
            for line in kept.lines(deadline):
                login = login.after(line)
                if (wrong := wrong_key(login.said, target)) is not None:
                    raise wrong
                if login.said.ready:
                    return login
                if not asked and (ask := _ask(login.said)) is not None:
                    self.tell(target.node, ask)
                    asked = True
                    deadline = replace(deadline, at=deadline.at + person_seconds)
                    break
            else:
                raise failure(login.said, target) if kept.ended else late(login.said, target)

    def _shown(self, target: Target, deadline: Deadline) -> str:
        program, folder = self._ssh(), private_folder()
        seconds = deadline.left_seconds
        argv = key_argv(program, target, folder=folder, connect_seconds=seconds, config=self.config)
        kept, login = Kept(argv, folder=folder), Login(said=Said())
        try:
            for line in kept.lines(deadline):
                login = login.after(line)
                if line.startswith(("Warning: Permanently added", "debug1: Entering interactive session")):
                    break
            key = _key_in(folder / KNOWN_HOSTS_NAME)
            if key is None:
                raise failure(login.said, target) if kept.ended else late(login.said, target)
            return key
        finally:
            kept.close()

    def _ssh(self) -> str:
        found = shutil.which(self.program or "ssh")
        if found is None:
            raise UsageError("`link: openssh` wants the ssh program, and there is none", hint="is it in PATH?")
        return found


def _ask(said: Said) -> str | None:
    if said.touch is not None:
        return f"touch the security key ({said.touch})"
    return f"open {said.url}" if said.url is not None else None


def _key_in(known_hosts: Path) -> str | None:
    try:
        lines = known_hosts.read_text().splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.startswith(f"{PIN_NAME} ")), [])
    return " ".join(words[1:3]) if len(words) >= 3 else None
