"""Where a target is and how to log in there: the inventory over ssh_config over the usual."""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabric
import paramiko

from fleet.control.link.hostkeys import known_keys
from fleet.control.link.identities import Identities
from fleet.control.link.protocol import Target
from fleet.control.link.sshconfig import SshConfig, usual_files
from fleet.control.link.tcp import FAMILIES
from fleet.errors import UsageError

_HOP = re.compile(r"(?:(?P<user>[^@]+)@)?(?P<host>\[[^]]+\]|[^:@]+)(?::(?P<port>\d+))?")

_UNREADABLE = "ssh -G HOST checks it; where ssh can read it, `link: openssh` beside the node leaves it to ssh"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One end to connect to, resolved. `ssh_config` is what the files say of it, keys in lower case."""

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
        """For people."""
        return f"{self.host} port {self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4, IPv6 or any, as ssh_config's AddressFamily says."""
        return FAMILIES.get(str(self.ssh_config.get("addressfamily", "any")).lower(), socket.AF_UNSPEC)

    @property
    def connect_seconds(self) -> float | None:
        """ssh_config's ConnectTimeout. It can only shorten ours."""
        text = str(self.ssh_config.get("connecttimeout", ""))
        return float(text) if text.isascii() and text.isdecimal() and int(text) else None

    @property
    def proxy_command(self) -> str | None:
        """The command whose stdin and stdout carry the connection."""
        command = str(self.ssh_config.get("proxycommand") or "none")
        return None if command.lower() == "none" else command

    def hops(self, jump: str | None) -> list[str]:
        """The jump hosts in order. `jump` is a list that replaces ssh_config's."""
        proxy = jump if jump is not None else str(self.ssh_config.get("proxyjump", ""))
        return [hop.strip() for hop in proxy.split(",") if hop.strip() and hop.strip().lower() != "none"]


class Places:
    """Resolves targets. `nodes` are the inventory's; `ssh_config` None = the user's and the system's files."""

    def __init__(self, nodes: tuple[Target, ...], *, ssh_config: Path | None, home: Path) -> None:
        self._nodes = nodes
        self._ssh_config = ssh_config
        self._home = home
        self._lock = threading.Lock()
        self._config: Any = None

    def fabric_config(self) -> Any:
        """Fabric's configuration, read once. Raises UsageError."""
        with self._lock:
            if self._config is None:
                files = usual_files(self._home) if self._ssh_config is None else (self._ssh_config,)
                try:
                    config = fabric.Config(ssh_config=SshConfig.of(files), lazy=True)
                    config.load_ssh_config()
                except (OSError, paramiko.SSHException) as error:
                    raise UsageError(f"ssh_config cannot be read: {error}", hint=_UNREADABLE) from None
                self._config = config
            return self._config

    def of(self, target: Target, *, jump: bool = False) -> Place:
        """Where a target is. A jump host without a pin is checked against the user's known_hosts. Raises UsageError."""
        config = self.fabric_config()
        try:
            found = config.base_ssh_config.said_of(target.address)
        except paramiko.SSHException as error:
            raise UsageError(f"ssh_config cannot be read: {error}", hint=_UNREADABLE, node=target.node) from None
        host = str(found.get("hostname", target.address))
        port = target.port or int(found.get("port", 22))
        user = target.user or str(found.get("user", config.user))
        pins: tuple[str, ...] = (target.host_key,) if target.host_key else ()
        if jump and not pins:
            pins = self._known(found, host=host, port=port)
        tokens = {"h": host, "n": target.address, "p": str(port), "r": user}
        return Place(
            node=target.node,
            host=host,
            port=port,
            user=user,
            pins=pins,
            identities=Identities.of(target.key_file, found, home=self._home, tokens=tokens),
            ssh_config=found,
            jump=jump,
        )

    def of_hop(self, hop: str, node: str) -> Place:
        """Where a jump host on the way to `node` is. One that is a node of the inventory is held to its pin."""
        match = _HOP.fullmatch(hop.removeprefix("ssh://"))
        if match is None:
            raise UsageError(f"ProxyJump {hop!r} cannot be read", hint="user@host:port", node=node)
        user, host = match["user"], match["host"].strip("[]")
        port = int(match["port"]) if match["port"] else None
        for known in self._nodes:
            if host == known.node or (host == known.address and port in (None, known.port or 22)):
                target = Target(
                    node=known.node,
                    address=known.address,
                    port=known.port,
                    user=user or known.user,
                    key_file=known.key_file,
                    host_key=known.host_key,
                )
                return self.of(target, jump=True)
        return self.of(Target(node=node, address=host, port=port, user=user), jump=True)

    def _known(self, found: dict[str, Any], *, host: str, port: int) -> tuple[str, ...]:
        named = str(found.get("userknownhostsfile", "")).split()
        files = [Path(name).expanduser() for name in named] or [
            self._home / ".ssh/known_hosts",
            self._home / ".ssh/known_hosts2",
            Path("/etc/ssh/ssh_known_hosts"),
        ]
        alias = str(found.get("hostkeyalias", host))
        return known_keys(files, host=alias, port=22 if "hostkeyalias" in found else port)
