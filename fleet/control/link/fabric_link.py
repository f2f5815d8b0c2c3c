"""The link over Fabric: ssh_config, jump hosts and login from it; pinned keys, deadlines and raw channels from us.

Fabric accepts any host key by default and looks at no known_hosts; both are replaced on every connection.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabric
import paramiko

from fleet.control.link import tcp
from fleet.control.link.channel import SshChannel
from fleet.control.link.credentials import Authenticator, Identities
from fleet.control.link.deadline import Deadline
from fleet.control.link.hostkeys import PinPolicy, key_types, known_keys, public_text
from fleet.control.link.protocol import CONNECT_SECONDS, WAIT_SECONDS, Channel, Session, Stream, Target
from fleet.control.link.stream import ChannelStream
from fleet.control.link.transport import KEEPALIVE_SECONDS, rest, tuned
from fleet.errors import FleetError, Unreachable, UsageError

_HOP = re.compile(r"(?:(?P<user>[^@]+)@)?(?P<host>\[[^]]+\]|[^:@]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One end to connect to, resolved."""

    node: str
    host: str
    port: int
    user: str
    pins: tuple[str, ...]
    identities: Identities
    ssh_config: dict[str, Any]
    jump: bool = False

    @property
    def where(self) -> str:
        return f"{self.host} port {self.port}"


class FabricSession:
    """One authenticated connection."""

    def __init__(self, connection: Any, *, node: str) -> None:
        self._connection = connection
        self._transport: paramiko.Transport = connection.transport
        self._node = node

    @property
    def node(self) -> str:
        """Whose it is."""
        return self._node

    def exec(self, command: str, *, within_seconds: float = WAIT_SECONDS) -> Channel:
        """Start `command` (one line for the login shell: see vocabulary.argv.posix)."""
        deadline = Deadline.after(within_seconds)
        begun = time.monotonic()
        try:
            raw = self._transport.open_session(timeout=within_seconds)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._refused("open a session", error) from None
        rtt = time.monotonic() - begun
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
    against the user's known_hosts. `ssh_config` None = the user's and the system's files.
    """

    def __init__(
        self, *, nodes: Iterable[Target] = (), ssh_config: Path | None = None, home: Path | None = None
    ) -> None:
        logger = logging.getLogger("paramiko")
        if not logger.handlers:  # or Python prints paramiko's tracebacks on stderr
            logger.addHandler(logging.NullHandler())
        self._home = home or Path.home()
        self._ssh_config = ssh_config
        self._config: Any = None
        self._nodes = tuple(nodes)
        self._lock = threading.Lock()
        self._jump_locks: dict[str, threading.Lock] = {}
        self._jumps: dict[str, Any] = {}

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        """A session with the node behind its pinned key. Raises Unreachable, HostKeyError, AuthError."""
        _refuse_other_carriers(target)
        deadline = Deadline.after(deadline_seconds)
        place = self._place(target)
        sock = self._socket(place, target.jump, deadline)
        return FabricSession(self._open(place, sock, deadline), node=target.node)

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:
        """The key that the node shows, `ssh-ed25519 AAAA...`; nothing is offered to it. Raises Unreachable."""
        _refuse_other_carriers(target)
        deadline = Deadline.after(deadline_seconds)
        place = self._place(target)
        transport = tuned(self._socket(place, target.jump, deadline), key_types=(), deadline=deadline)
        try:
            transport.start_client(timeout=deadline.left_seconds)
            return public_text(transport.get_remote_server_key())
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _handshake_failed(place, error, deadline) from None
        finally:
            transport.close()

    def close(self) -> None:
        """End the connections to jump hosts."""
        with self._lock:
            jumps, self._jumps = list(self._jumps.values()), {}
        for jump in reversed(jumps):
            jump.close()

    def _base_config(self) -> Any:
        with self._lock:
            if self._config is None:
                try:
                    given = None if self._ssh_config is None else paramiko.SSHConfig.from_path(str(self._ssh_config))
                    config = fabric.Config(ssh_config=given, user_ssh_path=str(self._home / ".ssh/config"), lazy=True)
                    config.load_ssh_config()
                except (OSError, paramiko.SSHException) as error:
                    raise UsageError(f"ssh_config cannot be read: {error}", hint="ssh -G HOST checks it") from None
                self._config = config
            return self._config

    def _place(self, target: Target, *, jump: bool = False) -> _Place:
        config = self._base_config()
        try:
            found: dict[str, Any] = dict(config.base_ssh_config.lookup(target.address))
        except paramiko.SSHException as error:
            raise UsageError(f"ssh_config cannot be read: {error}", hint="ssh -G HOST checks it") from None
        host = str(found.get("hostname", target.address))
        port = target.port or int(found.get("port", 22))
        pins: tuple[str, ...] = (target.host_key,) if target.host_key else ()
        if jump and not pins:
            named = str(found.get("userknownhostsfile", "")).split()
            files = [Path(name).expanduser() for name in named] or [
                self._home / ".ssh/known_hosts",
                self._home / ".ssh/known_hosts2",
                Path("/etc/ssh/ssh_known_hosts"),
            ]
            alias = str(found.get("hostkeyalias", host))
            pins = known_keys(files, host=alias, port=22 if "hostkeyalias" in found else port)
        return _Place(
            node=target.node,
            host=host,
            port=port,
            user=target.user or str(found.get("user", config.user)),
            pins=pins,
            identities=Identities.of(target.key_file, found, home=self._home),
            ssh_config=found,
            jump=jump,
        )

    def _socket(self, place: _Place, jump: str | None, deadline: Deadline) -> Any:
        """What the SSH connection runs over: a socket, a channel of a jump host, or a proxy command."""
        proxy = jump if jump is not None else str(place.ssh_config.get("proxyjump", ""))
        hops = [hop.strip() for hop in proxy.split(",") if hop.strip() and hop.strip().lower() != "none"]
        if hops:
            return self._through(hops, place, deadline)
        command = place.ssh_config.get("proxycommand")
        if command and str(command).lower() != "none":
            try:
                return paramiko.ProxyCommand(str(command))
            except OSError as error:
                raise Unreachable(
                    f"ProxyCommand does not start: {error}", detail=str(command), node=place.node, phase="connect"
                ) from None
        return tcp.connect(place.host, place.port, deadline=deadline, node=place.node)

    def _through(self, hops: list[str], place: _Place, deadline: Deadline) -> paramiko.Channel:
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
        return channel

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
            target = self._hop_target(hops[-1], node)
            place = self._place(target, jump=True)
            sock = (
                self._through(hops[:-1], place, deadline)
                if hops[:-1]
                else self._socket(place, "none" if "proxyjump" in place.ssh_config else None, deadline)
            )
            connection = self._open(place, sock, deadline)
            with self._lock:
                self._jumps[name] = connection
            return connection
        finally:
            gate.release()

    def _hop_target(self, hop: str, node: str) -> Target:
        match = _HOP.fullmatch(hop.removeprefix("ssh://"))
        if match is None:
            raise UsageError(f"ProxyJump {hop!r} cannot be read", hint="user@host:port", node=node)
        user, host = match["user"], match["host"].strip("[]")
        port = int(match["port"]) if match["port"] else None
        for known in self._nodes:
            if host == known.node or (host == known.address and port in (None, known.port or 22)):
                return Target(
                    node=known.node,
                    address=known.address,
                    port=known.port,
                    user=user or known.user,
                    key_file=known.key_file,
                    host_key=known.host_key,
                )
        return Target(node=node, address=host, port=port, user=user)

    def _open(self, place: _Place, sock: Any, deadline: Deadline) -> Any:
        """An authenticated Fabric connection over `sock`."""
        connection = fabric.Connection(
            place.host,
            user=place.user,
            port=place.port,
            config=self._base_config(),
            gateway=False,
            connect_kwargs={
                "sock": sock,
                "timeout": deadline.left_seconds,
                "transport_factory": lambda raw, **_: tuned(raw, key_types=key_types(place.pins), deadline=deadline),
                "auth_strategy": Authenticator(place.user, place.identities, place.node, place.where),
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
            connection.client.close()
            sock.close()
            if isinstance(error, FleetError) or not isinstance(error, Exception):
                raise
            raise _handshake_failed(place, error, deadline) from None
        connection.transport.set_keepalive(KEEPALIVE_SECONDS)
        rest(connection.transport)
        return connection


def _refuse_other_carriers(target: Target) -> None:
    if target.carrier != "fabric":
        raise UsageError(
            f"link: {target.carrier} comes with a later release",
            hint="take the line out of the inventory: keys of an agent, ProxyJump and ProxyCommand work without it",
            node=target.node,
        )


def _handshake_failed(place: _Place, error: BaseException, deadline: Deadline) -> Unreachable:
    cause = str(error).strip() or type(error).__name__
    hint = "does `ssh` to the same address work?"
    if deadline.passed or "No existing session" in cause:
        cause, hint = "no answer in time", "the machine may be asleep, swapping, or something else listens there"
    elif "banner" in cause.lower():
        cause = "what listens there does not speak SSH, or hung up (sshd limits new connections: MaxStartups)"
    return Unreachable(f"no SSH connection with {place.where}: {cause}", hint=hint, node=place.node, phase="connect")
