"""The addresses that a front tells people at: secrets, because who knows one can write to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from urllib.parse import urlsplit

from fleet.control.desired.roster import Roster
from fleet.control.desired.sealed import Sealed
from fleet.errors import SupplyError
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.secret import Secret


def watch_secret_files(front: Roster) -> dict[str, tuple[str, str]]:
    """`webhook` and `ping_url`, where they are set -> the secret reference, and the front's file that holds it."""
    settings = front.node.settings
    if not settings.front_watch:
        return {}
    written = {"webhook": settings.webhook, "ping_url": settings.ping_url}
    names = {"webhook": "webhook.url", "ping_url": "ping.url"}
    return {
        name: (reference, front.layout.etc(names[name])) for name, reference in written.items() if reference is not None
    }


def watch_secrets(front: Roster, secrets: Mapping[str, Secret]) -> Iterator[tuple[str, Sealed]]:
    """The path and the content of every such file. Making it raises SupplyError for what is no address."""
    for name, (reference, path) in watch_secret_files(front).items():
        make = partial(_address, name, reference, front.node.name, secrets)
        yield path, Sealed(recipe=f"address for {name}", references=(reference,), make=make)


def _address(name: str, reference: str, node: str, secrets: Mapping[str, Secret]) -> Secret:
    address = Secret(secrets[reference].reveal().strip())
    if not is_address_to_ask(address):
        raise SupplyError(
            f"{name}: what {reference} holds is no address that a front may ask",
            node=node,
            hint="one line like https://hooks.example.com/...; plain http is for 127.0.0.1 only",
        )
    return address


def is_address_to_ask(address: Secret) -> bool:
    """Whether it is one https address (http on loopback only)."""
    text = address.reveal()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    return plain and bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
