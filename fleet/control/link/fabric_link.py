"""The link over Fabric: ssh_config, jump hosts and login from it; pinned keys, deadlines and raw channels from us.

Fabric accepts any host key by default and looks at no known_hosts; both are replaced on every connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fabric
import paramiko

from fleet.control.link import tcp
from fleet.control.link.again import Dropped, Patience
from fleet.control.link.channel import SshChannel
from fleet.control.link.credentials import Authenticator, HungUp
from fleet.control.link.deadline import Deadline
from fleet.control.link.hostkeys import PinPolicy, key_types, public_text
from fleet.control.link.keymemory import KeyMemory
from fleet.control.link.places import Place, Places
from fleet.control.link.protocol import CONNECT_SECONDS, WAIT_SECONDS, Channel, Session, Stream, Target
from fleet.control.link.proxy import ProxySocket
from fleet.control.link.stream import ChannelStream
from fleet.control.link.transport import KEEPALIVE_SECONDS, JumpChannel, TunedTransport, rest, tuned
from fleet.errors import FleetError, Unreachable

_THROUGH_ONE_JUMP = 16
"""Handshakes that one jump host forwards at a time."""
_LOGINS = 2
"""Connections on which keys are offered; more would be punished by an sshd that counts (PerSourcePenalties)."""


class OwnConnection(fabric.Connection):  # type: ignore[misc] # fabric is not typed
    """Fabric's, with the one attribute that it does not declare.

    Setting it would write to the configuration that all connections share, which is empty for a moment while it is
    merged again: with many threads, one of them finds nothing in it.
    """

    inline_ssh_env: bool | None = None


class FabricSession:
    """One authenticated connection."""

    def __init__(self, connection: Any, *, node: str, key_fingerprint: str | None) -> None:
        self._connection = connection
        self._transport: paramiko.Transport = connection.transport
        self._node = node
        self._key_fingerprint = key_fingerprint

    @property
    def node(self) -> str:
        """Whose it is."""
        return self._node

    @property
    def key_fingerprint(self) -> str | None:
        """Of our key that the node accepted, `SHA256:...`."""
        return self._key_fingerprint

    def exec(self, command: str, *, within_seconds: float = WAIT_SECONDS) -> Channel:
        """Start `command` (one line for the login shell: see vocabulary.argv.posix)."""
        deadline = Deadline.after(within_seconds)
        begun = time.monotonic()
        try:
            raw = self._transport.open_session(timeout=within_seconds)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._refused("open a session", error) from None
        rtt = getattr(self._transport.sock, "round_trip_seconds", None) or time.monotonic() - begun
        # paramiko waits for the answer to exec without a limit; closing the channel ends that wait.
        alarm = threading.Timer(max(0.001, deadline.left_seconds), raw.close)
        alarm.daemon = True
        alarm.start()
        try:
            raw.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._refused("start a command", error) from None
        finally:
            alarm.cancel()
        return SshChannel(raw, node=self._node, rtt_seconds=rtt)

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = WAIT_SECONDS) -> Stream:
        """A connection to a port as the node sees it."""
        try:
            raw = self._transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=within_seconds)
        except paramiko.ChannelException as error:
            raise Unreachable(
                f"nothing answers on {host} port {port} of the node ({error.text.lower() or 'refused'})",
                hint="is the service running? fleet status shows it",
                node=self._node,
            ) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._refused(f"reach {host} port {port}", error) from None
        return ChannelStream(raw)

    def close(self) -> None:
        """End the connection. Safe to call twice."""
        self._connection.close()
        self._transport.close()

    def _refused(self, what: str, error: BaseException) -> Unreachable:
        cause = str(error) or type(error).__name__
        if not self._transport.is_active():
            cause = "the connection was lost"
        return Unreachable(f"the node did not {what}: {cause}", hint="try again; is it overloaded?", node=self._node)


class FabricLink:
    """Sessions by Fabric and paramiko. Jump hosts are connected once and shared by all sessions of this link.

    `nodes` are targets of the inventory: a jump host that is one of them is checked against its pin, any other
    against the user's known_hosts. `ssh_config` None = the user's and the system's files. `memory` is asked which key
    worked last.
    """

    def __init__(
        self,
        *,
        nodes: Iterable[Target] = (),
        ssh_config: Path | None = None,
        home: Path | None = None,
        memory: KeyMemory | None = None,
        patience: Patience | None = None,
    ) -> None:
        logger = logging.getLogger("paramiko")
        if not logger.handlers:  # or Python prints paramiko's tracebacks on stderr
            logger.addHandler(logging.NullHandler())
        self._places = Places(tuple(nodes), ssh_config=ssh_config, home=home or Path.home())
        self._memory = memory or KeyMemory()
        self._patience = patience or Patience(time.sleep)
        self._lock = threading.Lock()
        self._jump_locks: dict[str, threading.Lock] = {}
        self._jumps: dict[str, Any] = {}
        self._turns: dict[str, threading.Semaphore] = {}

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        """A session with the node behind its pinned key. Raises Unreachable, HostKeyError, AuthError."""
        deadline = Deadline.after(deadline_seconds)
        place = self._places.of(target)
        connection, fingerprint = self._opened(place, target.jump, deadline)
        return FabricSession(connection, node=target.node, key_fingerprint=fingerprint)

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:
        """The key that the node shows, `ssh-ed25519 AAAA...`; nothing is offered to it. Raises Unreachable."""
        deadline = Deadline.after(deadline_seconds)
        place = self._places.of(target)

        def shown() -> str:
            with self._turn(place, target.jump, deadline):
                transport = tuned(self._socket(place, target.jump, deadline), key_types=(), deadline=deadline)
                try:
                    transport.start_client(timeout=deadline.left_seconds)
                    return public_text(transport.get_remote_server_key())
                except (paramiko.SSHException, OSError, EOFError) as error:
                    raise _handshake_failed(place, error, deadline, dropped=transport.dropped) from None
                finally:
                    transport.close()

        return self._patience.until_let_in(shown, deadline=deadline)

    def close(self) -> None:
        """End the connections to jump hosts."""
        with self._lock:
            jumps, self._jumps = list(self._jumps.values()), {}
        for jump in reversed(jumps):
            jump.close()

    def _socket(self, place: Place, jump: str | None, deadline: Deadline) -> Any:
        """What the SSH connection runs over: a socket, a channel of a jump host, or a proxy command."""
        if hops := place.hops(jump):
            return self._through(hops, place, deadline)
        if (command := place.proxy_command) is not None:
            try:
                return ProxySocket(command)
            except OSError as error:
                raise Unreachable(
                    f"ProxyCommand does not start: {error}", detail=command, node=place.node, phase="connect"
                ) from None
        first = deadline if place.connect_seconds is None else deadline.sooner(place.connect_seconds)
        return tcp.connect(place.host, place.port, deadline=first, node=place.node, family=place.family)

    @contextmanager
    def _turn(self, place: Place, jump: str | None, deadline: Deadline) -> Iterator[None]:
        """Room for one more handshake: at most so many at a time go through one jump host."""
        hops = place.hops(jump)
        if not hops:
            yield
            return
        with self._lock:
            turn = self._turns.setdefault(",".join(hops), threading.Semaphore(_THROUGH_ONE_JUMP))
        if not turn.acquire(timeout=deadline.left_seconds):
            raise Unreachable(f"the jump host {hops[-1]} was busy for too long", node=place.node, phase="connect")
        try:
            yield
        finally:
            turn.release()

    def _through(self, hops: list[str], place: Place, deadline: Deadline) -> JumpChannel:
        bastion = self._jump(hops, place.node, deadline)
        try:
            channel: paramiko.Channel = bastion.transport.open_channel(
                "direct-tcpip", (place.host, place.port), ("127.0.0.1", 0), timeout=max(0.05, deadline.left_seconds)
            )
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(
                f"the jump host {hops[-1]} cannot reach {place.where}: {error}",
                hint="is the node up, and does the jump host allow forwarding to it?",
                node=place.node,
                phase="connect",
            ) from None
        return JumpChannel(channel)

    def _jump(self, hops: list[str], node: str, deadline: Deadline) -> Any:
        """The shared connection to the last of `hops`, through the ones before it."""
        name = ",".join(hops)
        with self._lock:
            gate = self._jump_locks.setdefault(name, threading.Lock())
        if not gate.acquire(timeout=deadline.left_seconds):
            raise Unreachable(f"the jump host {hops[-1]} is not connected in time", node=node, phase="connect")
        try:
            with self._lock:
                known = self._jumps.get(name)
            if known is not None and known.transport.is_active():
                return known
            place = self._places.of_hop(hops[-1], node)
            before = ",".join(hops[:-1]) or ("none" if place.ssh_config.get("proxyjump") else None)
            connection, _ = self._opened(place, before, deadline)
            with self._lock:
                self._jumps[name] = connection
            return connection
        finally:
            gate.release()

    def _opened(self, place: Place, jump: str | None, deadline: Deadline) -> tuple[Any, str | None]:
        """An authenticated Fabric connection, and the fingerprint of the key that was accepted."""
        login = Authenticator(place.user, place.identities, place.node, place.where, self._memory)

        def attempt() -> Any:
            with self._turn(place, jump, deadline):
                return self._open(place, self._socket(place, jump, deadline), login, deadline)

        for _ in range(_LOGINS - 1):
            try:
                return self._patience.until_let_in(attempt, deadline=deadline), login.key_fingerprint
            except HungUp:
                continue
        return self._patience.until_let_in(attempt, deadline=deadline), login.key_fingerprint

    def _open(self, place: Place, sock: Any, login: Authenticator, deadline: Deadline) -> Any:
        transports: list[TunedTransport] = []

        def transport(raw: Any, **_: Any) -> TunedTransport:
            transports.append(tuned(raw, key_types=key_types(place.pins), deadline=deadline))
            return transports[0]

        connection = OwnConnection(
            place.host,
            user=place.user,
            port=place.port,
            config=self._places.fabric_config(),
            gateway=False,
            connect_kwargs={
                "sock": sock,
                "timeout": deadline.left_seconds,
                "transport_factory": transport,
                "auth_strategy": login,
            },
        )
        connection.connect_timeout = None  # ssh_config's, in whole seconds; the deadline is ours
        connection.connect_kwargs.pop("key_filename", None)  # so does the choice of keys
        connection.client.set_missing_host_key_policy(
            PinPolicy(place.pins, node=place.node, where=place.where, jump=place.jump)
        )
        try:
            connection.open()
        except BaseException as error:
            words = getattr(sock, "words", "")
            connection.client.close()
            sock.close()
            if isinstance(error, FleetError) or not isinstance(error, Exception):
                raise
            dropped = bool(transports) and transports[0].dropped and not words
            raise _handshake_failed(place, error, deadline, dropped=dropped, words=words) from None
        connection.transport.set_keepalive(KEEPALIVE_SECONDS)
        rest(connection.transport)
        return connection


def _handshake_failed(
    place: Place, error: BaseException, deadline: Deadline, *, dropped: bool, words: str = ""
) -> Unreachable:
    """`words` are what a proxy command said on stderr."""
    cause = str(error).strip() or type(error).__name__
    hint, kind = "does `ssh` to the same address work?", Unreachable
    if words:
        cause = "its ProxyCommand failed"
    elif deadline.passed or "No existing session" in cause:
        cause, hint = "no answer in time", "the machine may be asleep, swapping, or something else listens there"
    elif "banner" in cause.lower() or dropped:
        cause = "what listens there does not speak SSH, or hung up (sshd limits new connections: MaxStartups)"
        kind = Dropped if dropped else Unreachable
    title = f"no SSH connection with {place.where}: {cause}"
    return kind(title, detail=words, hint=hint, node=place.node, phase="connect")
