"""Root on a node: sudo without a password where it lets us, else with the one that a person gave."""

from __future__ import annotations

from fleet.control.inventory import Node
from fleet.control.link.protocol import Session
from fleet.errors import NodeError
from fleet.vocabulary.argv import Argv, posix
from fleet.vocabulary.secret import Secret


def checked_password(session: Session, node: Node, password: Secret | None) -> Secret:
    """The password, after sudo took it once: a wrong one must not eat what is sent behind it. Raises NodeError."""
    if password is None:
        raise NodeError(
            "sudo asks for a password",
            node=node.name,
            hint="--ask-sudo-password asks you for it, FLEET_SUDO_PASSWORD hands it over",
        )
    sudo = node.settings.layout().command("sudo")
    channel = session.exec(posix('exec "$@"', sudo, "-k", "-S", "-p", "", "true"))
    channel.write(f"{password.reveal()}\n".encode())
    channel.close_write()
    if channel.wait():
        said = channel.stderr_tail.strip().splitlines()
        raise NodeError("sudo refused the password", node=node.name, detail=said[-1] if said else "")
    return password


def root_prefix(session: Session, node: Node, *, free: bool, password: Secret | None) -> tuple[Argv, Secret | None]:
    """The words before a command of root, and what to send first on its stdin. Raises NodeError.

    `free` = sudo asks for no password. A node of `sudo: false` needs none of this: its account is the admin.
    """
    sudo = node.settings.layout().command("sudo")
    if not node.settings.sudo:
        return Argv.of(), None
    if free:
        return Argv.of(sudo, "-n", "-H"), None
    return Argv.of(sudo, "-k", "-S", "-H", "-p", ""), checked_password(session, node, password)
