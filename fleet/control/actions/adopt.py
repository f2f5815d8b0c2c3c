"""`fleet adopt`: pin a node's keys after a person saw them, look at the node, make it ready for deploys.

Only here is a node connected without a pin, and only after `accept` said yes to its fingerprint. Every step may be
repeated: what is there already stays, and an adopt that was cut off is finished by the next.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from fleet import __version__
from fleet.control.actions.adopt_carrier import Propose, reach, shown_key
from fleet.control.actions.adopt_install import Installation, Installed, installation, parse_installed
from fleet.control.actions.adopt_pins import PinWriter
from fleet.control.actions.adopt_probe import Probe, Problem, parse_probe, probe_command, problems_of
from fleet.control.actions.sudo import root_prefix
from fleet.control.desired.supplies import InterpreterNeed, Packed
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Node, Project
from fleet.control.link.hostkeys import fingerprint, same_key
from fleet.control.link.protocol import Link, Session, Target, target_of
from fleet.control.rollout.guard import is_older
from fleet.control.supply.cache import Cache
from fleet.control.supply.interpreters import fetch_interpreter
from fleet.control.supply.nodepart import sync_zipapp
from fleet.errors import FleetError, HostKeyError, NodeError, ProtocolError
from fleet.vocabulary.argv import posix
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret

_PROBE_SECONDS = 60.0
_INSTALL_SECONDS = 600.0
_AT_ONCE = 16

Accept = Callable[["Stranger"], bool]
Notify = Callable[[NodeName, str], None]


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """A node whose key is not pinned, or no longer the pinned one (`pinned`, with --rekey)."""

    node: NodeName
    address: str
    shown: str
    pinned: str | None = None

    @property
    def fingerprint(self) -> str:
        """The shown key's fingerprint, `SHA256:...`."""
        return fingerprint(self.shown)


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """How it went on one node. `pins` is what was written into the inventory, `error` why it went wrong."""

    node: NodeName
    host_key: str | None = None
    probe: Probe | None = None
    problems: tuple[Problem, ...] = ()
    changed: tuple[str, ...] = ()
    pins: Mapping[str, str] | None = None
    error: FleetError | None = None


@dataclass(frozen=True, kw_only=True)
class Adopter:
    """Adopts nodes of one project. `password` is sudo's, for nodes where sudo wants one.

    `propose` is asked before `link: openssh` is written beside a node.
    """

    project: Project
    link: Link
    cache: Cache
    accept: Accept
    notify: Notify
    propose: Propose = lambda node, why: False  # noqa: ARG005 (nobody to ask)
    password: Secret | None = None
    rekey: bool = False
    downgrade: bool = False

    def adopt(self, nodes: Sequence[Node]) -> tuple[Adoption, ...]:
        """Every node, in the given order. Questions are asked one after the other, the work is done side by side."""
        pins = PinWriter(self.project.inventory)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            shown = list(pool.map(self._shown, nodes))
            known = [self._known(node, key) for node, key in zip(nodes, shown, strict=True)]
            futures = [
                key if isinstance(key, Adoption) else pool.submit(self._adopt, node, key, pins)
                for node, key in zip(nodes, known, strict=True)
            ]
            return tuple(one if isinstance(one, Adoption) else one.result() for one in futures)

    def _target(self, node: Node) -> Target:
        return target_of(node, base=self.project.root)

    def _shown(self, node: Node) -> str | FleetError | None:
        """The key that a node shows, when somebody must be asked about it."""
        if node.settings.host_key is not None and not self.rekey:
            return None
        try:
            return shown_key(self.link, self._target(node))
        except FleetError as error:
            return error

    def _known(self, node: Node, shown: str | FleetError | None) -> str | Adoption:
        """The key to insist on, or why there is none."""
        pinned = node.settings.host_key
        if isinstance(shown, FleetError):
            return Adoption(node=node.name, host_key=pinned, error=shown)
        if pinned is not None and (shown is None or same_key(pinned, shown)):
            return pinned
        assert shown is not None
        stranger = Stranger(node=node.name, address=node.address, shown=shown, pinned=pinned)
        if self.accept(stranger):
            return shown
        refused = HostKeyError(
            "its key was not accepted",
            detail=f"shown: {stranger.fingerprint}",
            hint="compare on the machine itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
            node=node.name,
        )
        return Adoption(node=node.name, error=refused)

    def _adopt(self, node: Node, host_key: str, writer: PinWriter) -> Adoption:
        result = Adoption(node=node.name, host_key=host_key)
        try:
            reached = reach(self.link, replace(self._target(node), host_key=host_key), propose=self.propose)
            session = reached.session
            try:
                interpreter = self._interpreter(node)
                probe = self._probe(session, node, interpreter)
                result = replace(result, probe=probe, problems=problems_of(node, probe))
                _refuse_serious(node, result.problems)
                if not self.downgrade:
                    _refuse_older(node, probe)
                installed = self._install(session, node, probe, interpreter)
            finally:
                session.close()
            pins = {"host_key": host_key, "edge_key": installed.edge_key or "", **reached.pins}
            if node.settings.secret_salt is None:
                pins["secret_salt"] = secrets.token_hex(16)
            writer.pin(node.name, pins)
            return replace(result, changed=installed.changed, pins=pins)
        except FleetError as error:
            return replace(result, error=error)

    def _interpreter(self, node: Node) -> Packed | None:
        settings = node.settings
        standalone = settings.interpreter == "standalone"
        need = InterpreterNeed(
            kind="standalone" if standalone else "path",
            python_version=settings.python_version,
            platform=settings.platform,
            path=None if standalone else settings.interpreter,
        )
        return fetch_interpreter(need, cache=self.cache, notify=lambda text: self.notify(node.name, text))

    def _probe(self, session: Session, node: Node, interpreter: Packed | None) -> Probe:
        command = probe_command(node, python_digest=interpreter.digest if interpreter else "")
        channel = session.exec(command)
        channel.close_write()
        return parse_probe(_everything(channel.read_some, _PROBE_SECONDS), root=node.settings.root)

    def _install(self, session: Session, node: Node, probe: Probe, interpreter: Packed | None) -> Installed:
        self.notify(node.name, "making it ready")
        send = interpreter is not None and not probe.has_build
        parts = installation(
            node,
            login=probe.user or node.settings.ssh_user or "",
            sync=sync_zipapp(),
            interpreter=interpreter,
            archive=self.cache.blob_path(interpreter.archive.digest) if interpreter is not None and send else None,
            templates=Templates(self.project),
        )
        return self._run(session, node, probe, parts)

    def _run(self, session: Session, node: Node, probe: Probe, parts: Installation) -> Installed:
        prefix, secret = root_prefix(session, node, free=probe.sudo == "free", password=self.password)
        channel = session.exec(posix('exec "$@"', *prefix.plus("/bin/sh", "-c", parts.script, "fleet").words))
        try:
            if secret is not None:
                channel.write(f"{secret.reveal()}\n".encode())
            for piece in parts.pieces():
                channel.write(piece)
            channel.close_write()
        except FleetError:
            installed = parse_installed(_rest(channel.read_some))
            if installed.failed is None:
                raise
        else:
            installed = parse_installed(_everything(channel.read_some, _INSTALL_SECONDS))
        if installed.failed is not None:
            raise NodeError(installed.failed, node=node.name, hint="mend it, then adopt again: what is done stays done")
        if not installed.done or installed.edge_key is None:
            status = channel.wait()
            raise ProtocolError(
                f"adopt's script did not come to its end (exit status {status})",
                detail=channel.stderr_tail.strip(),
                hint="adopt again: what is done stays done",
                node=node.name,
            )
        return installed


def _refuse_serious(node: Node, problems: Sequence[Problem]) -> None:
    serious = [problem for problem in problems if problem.serious]
    if serious:
        raise NodeError(
            serious[0].what,
            node=node.name,
            detail="\n".join(problem.what for problem in serious[1:]),
            hint=serious[0].advice,
        )


def _refuse_older(node: Node, probe: Probe) -> None:
    """An older fleet never replaces a newer one's helper, apply job and records by mistake."""
    if probe.adopted_by is not None and is_older(__version__, than=probe.adopted_by):
        purpose = f"or go back on purpose: fleet adopt --downgrade {node.name}"
        raise NodeError(
            f"a newer fleet adopted it: {probe.adopted_by}, this is {__version__}",
            node=node.name,
            hint=f"install fleet {probe.adopted_by} or later here\n{purpose}",
        )


def _everything(read_some: Callable[..., bytes], seconds: float) -> str:
    """All output until its end."""
    parts: list[bytes] = []
    while part := read_some(within_seconds=seconds):
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def _rest(read_some: Callable[..., bytes]) -> str:
    """What came before the connection or the command ended."""
    parts: list[bytes] = []
    try:
        while part := read_some(within_seconds=5.0):
            parts.append(part)
    except FleetError:
        pass
    return b"".join(parts).decode("utf-8", "replace")
