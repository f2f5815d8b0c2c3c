"""The ssh commands of `link: openssh`: the user's ssh_config, under options of ours that it cannot weaken. Pure."""

from __future__ import annotations

import math
from pathlib import Path

from fleet.control.link.protocol import Target

PIN_NAME = "fleet-pin"
"""The name under which our known_hosts file has the pinned key, whatever the node's address is."""
SOCKET_NAME = "s"
KNOWN_HOSTS_NAME = "known_hosts"

_ALWAYS = (
    "BatchMode=yes",
    "ConnectionAttempts=1",
    "LogLevel=DEBUG1",  # says which key was shown, which was accepted, and when it waits for a touch
    "GlobalKnownHostsFile=/dev/null",
    "KnownHostsCommand=none",
    f"HostKeyAlias={PIN_NAME}",
    "CheckHostIP=no",
    "HashKnownHosts=no",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
    "NoHostAuthenticationForLocalhost=no",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "ControlPersist=no",
    "Tunnel=no",
)


def master_argv(
    program: str, target: Target, *, folder: Path, connect_seconds: float, config: Path | None = None
) -> tuple[str, ...]:
    """A connection that others share over `folder/s`, to a node behind the key in `folder/known_hosts`."""
    path = f"ControlPath={_path(folder / SOCKET_NAME)}"
    options = (*_common(target, folder, connect_seconds), "StrictHostKeyChecking=yes", "ControlMaster=yes", path)
    return _argv(program, target, options, config)


def key_argv(
    program: str, target: Target, *, folder: Path, connect_seconds: float, config: Path | None = None
) -> tuple[str, ...]:
    """Only writes the key that the node shows into `folder/known_hosts`; nothing is offered to it."""
    options = (
        *_common(target, folder, connect_seconds),
        "StrictHostKeyChecking=accept-new",
        "PreferredAuthentications=none",
        "PubkeyAuthentication=no",
        "ControlMaster=no",
        "ControlPath=none",
    )
    return _argv(program, target, options, config)


def _common(target: Target, folder: Path, connect_seconds: float) -> tuple[str, ...]:
    seconds = max(1, math.ceil(connect_seconds))
    options = [*_ALWAYS, f"ConnectTimeout={seconds}", f"UserKnownHostsFile={_path(folder / KNOWN_HOSTS_NAME)}"]
    if target.key_file is not None:
        options += [f"IdentityFile={_path(Path(target.key_file))}", "IdentitiesOnly=yes"]
    if target.jump is not None:
        options.append(f"ProxyJump={target.jump or 'none'}")
    if target.port is not None:
        options.append(f"Port={target.port}")
    if target.user is not None:
        options.append(f"User={target.user}")
    return tuple(options)


def _argv(program: str, target: Target, options: tuple[str, ...], config: Path | None) -> tuple[str, ...]:
    words = [program, *(("-F", str(config)) if config is not None else ()), "-N"]
    for option in options:
        words += ["-o", option]
    return (*words, "--", target.address)


def _path(path: Path) -> str:
    """A path as ssh_config wants it: blanks in quotes, no %-token."""
    return '"' + str(path).replace("%", "%%") + '"'
