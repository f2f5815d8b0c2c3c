"""The TLS certificates of gateways, for a client that trusts authorities and cannot pin keys, as Prometheus is.

A pin covers a key and says nothing of the certificate around it: who holds one node's key could put every name into
it, or make it an authority over the others. So a certificate is taken only when it names that node and no other.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.control.actions.gateways import GatewayNode
from fleet.control.actions.scrape import host_of
from fleet.control.actions.spread import on_each
from fleet.control.inventory import Node
from fleet.control.link import tcp
from fleet.control.link.deadline import Deadline
from fleet.control.link.protocol import CONNECT_SECONDS, Link, target_of
from fleet.errors import FleetError, HostKeyError, NodeError, NotAdopted, Unreachable
from fleet.vocabulary.argv import posix
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.pins import pin_matches

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""What every node may call itself (control/actions/adopt_install.py)."""
NETWORK_SECONDS = 3.0
_LEFT = timedelta(days=1)
_LIMIT_BYTES = 64 * 1024


def gathered(
    gateways: Sequence[GatewayNode], *, link: Link, base: Path, now: datetime, known: bytes = b""
) -> Mapping[NodeName, bytes | FleetError]:
    """Certificate (DER) or problem of each gateway with TLS. `known` is what was gathered before (PEM).

    Asked over the network, as Prometheus will; through SSH where that is shut; and a node that is away keeps the
    certificate that was known, while its pin still fits.
    """
    before = certificates_in(known)

    def one(node: Node) -> tuple[NodeName, bytes | FleetError]:
        try:
            found = _asked(node, link=link, base=base)
        except HostKeyError:
            raise
        except FleetError:
            kept = [der for der in before if pin_matches(der, node.settings.edge_key or "")]
            if not kept:
                raise
            found = kept[0]
        require_own(found, node, names_of(node), now)
        return node.name, found

    def failed(node: Node, error: FleetError) -> tuple[NodeName, bytes | FleetError]:
        error.node = error.node or node.name
        return node.name, error

    nodes = [gateway.node for gateway in gateways if gateway.node.settings.gateway_tls]
    answers = dict(on_each(nodes, one, failed=failed))
    return {node.name: answers[node.name] for node in nodes}


def names_of(node: Node) -> frozenset[str]:
    """What a certificate of this node may be called."""
    names = {host_of(node), node.address, node.name, f"{node.name}.local"}
    return frozenset(name.strip("[]").lower() for name in names) | LOCAL_NAMES


def require_own(der: bytes, node: Node, names: Collection[str], now: datetime) -> None:
    """Whether this certificate can be trusted for `node` alone. Raises HostKeyError, NodeError.

    Another key, an authority, a foreign name, one that Prometheus would not find in it, or one that has run out.
    """
    settings, name = node.settings, node.name
    renew = f"on the node: sudo rm {settings.layout().etc('edge.crt')}; then fleet adopt {name} makes it anew"
    if not pin_matches(der, settings.edge_key or ""):
        hint = f"was the gateway's key made anew? fleet adopt {name} reads it over SSH and pins it"
        raise HostKeyError("its TLS key is not the pinned one", node=name, hint=hint)
    try:
        certificate = x509.load_der_x509_certificate(der)
        shown = [*_names_in(certificate)]
        authority = certificate.version is not x509.Version.v3 or _is_authority(certificate)
    except ValueError as error:
        raise NodeError(f"its certificate cannot be read: {error}", node=name, hint=renew) from None
    if authority:
        raise NodeError("its certificate could vouch for other nodes: it is an authority", node=name, hint=renew)
    if foreign := [one for one in shown if one.lower() not in names]:
        raise NodeError(
            f"its certificate is also for {foreign[0]}, which is not this node",
            node=name,
            detail="what trusts it would take this node for that one",
            hint=renew,
        )
    host = host_of(node)
    if host.lower() not in {one.lower() for one in shown}:
        detail = f"it is for {', '.join(shown) or 'no name at all'}"
        raise NodeError(f"its certificate is not for {host}", node=name, detail=detail, hint=renew)
    if now + _LEFT > certificate.not_valid_after_utc or now < certificate.not_valid_before_utc:
        span = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise NodeError(f"its certificate is for another time: {span}", node=name, hint=renew)


def bundle(certificates: Iterable[bytes]) -> bytes:
    """All of them as one PEM file."""
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in certificates).encode()


def certificates_in(pem: bytes) -> tuple[bytes, ...]:
    """The certificates (DER) of a PEM file. Of a broken file: none."""
    try:
        found = x509.load_pem_x509_certificates(pem) if pem else []
    except ValueError:
        return ()
    return tuple(one.public_bytes(Encoding.DER) for one in found)


def _asked(node: Node, *, link: Link, base: Path) -> bytes:
    if not node.settings.edge_key:
        hint = f"fleet adopt {node.name}"
        raise NotAdopted("its TLS key is not pinned yet", node=node.name, hint=hint)
    try:
        return _over_network(node)
    except FleetError:
        return _over_ssh(node, link=link, base=base)


def _over_network(node: Node) -> bytes:
    """What the gateway shows in a handshake. Nothing is sent to it; the pin is the caller's to check."""
    settings = node.settings
    host = host_of(node)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        deadline = Deadline.after(NETWORK_SECONDS)
        with tcp.connect(host, settings.gateway_port, deadline=deadline, node=node.name) as sock:
            with context.wrap_socket(sock, server_hostname=host) as tls:
                der = tls.getpeercert(binary_form=True)
    except (ssl.SSLError, OSError) as error:
        raise Unreachable(f"no TLS with {host} port {settings.gateway_port}: {error}", node=node.name) from None
    if not der or not pin_matches(der, settings.edge_key or ""):  # maybe not the node at all: SSH knows who it is
        raise Unreachable(f"{host} port {settings.gateway_port} shows another key than the pinned one", node=node.name)
    return der


def _over_ssh(node: Node, *, link: Link, base: Path) -> bytes:
    """The file that the gateway shows."""
    path = node.settings.layout().etc("edge.crt")
    session = link.connect(target_of(node, base=base), deadline_seconds=CONNECT_SECONDS)
    try:
        channel = session.exec(posix('exec cat -- "$1"', path))
        channel.close_write()
        pem = bytearray()
        while len(pem) < _LIMIT_BYTES and (some := channel.read_some()):
            pem += some
    finally:
        session.close()
    found = certificates_in(bytes(pem))
    if not found:
        raise NodeError(f"{path} on the node is no certificate", node=node.name, hint=f"fleet adopt {node.name}")
    return found[0]


def _names_in(certificate: x509.Certificate) -> Iterable[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in names:
        yield str(name.value)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False
