"""What adopt puts on a node: the script with its values, and the tar that it reads. Pure but for package files."""

from __future__ import annotations

import ipaddress
import re
import ssl
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fleet import __version__
from fleet.control.actions.probing import script_text
from fleet.control.desired.jobs import render_apply_plist
from fleet.control.desired.supplies import Packed
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Node
from fleet.errors import InventoryError
from fleet.vocabulary.contracts.codec import canonical, digest_of
from fleet.vocabulary.contracts.sync import Adopted
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.pins import pin_of

_BLOCK_BYTES = 1 << 20
_HELPER_COMMANDS = ("launchctl", "shasum", "pmset", "sysctl")
_MAGIC = "FLEET-ADOPT/1"


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Everything that is sent to one node. `archive` is the interpreter's tar, None when it is there already."""

    script: str
    files: dict[str, bytes]
    archive: Path | None

    def pieces(self) -> Iterator[bytes]:
        """The tar, a piece at a time: an interpreter is not held in memory."""
        for name, content in sorted(self.files.items()):
            yield _header(name, len(content)) + content + _padding(len(content))
        if self.archive is not None:
            size = self.archive.stat().st_size
            yield _header("python.tar", size)
            with self.archive.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
            yield _padding(size)
        yield bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Installed:
    """What the script answered: what it changed, why it failed, and the pin of the edge's key."""

    changed: tuple[str, ...] = ()
    failed: str | None = None
    edge_key: str | None = None
    done: bool = False


def installation(
    node: Node,
    *,
    login: str,
    sync: tuple[str, bytes],
    interpreter: Packed | None,
    archive: Path | None,
    templates: Templates,
) -> Installation:
    """What makes `node` ready. `login` is the account that SSH is. Raises InventoryError, TemplateError, PlistError."""
    layout, settings = node.settings.layout(), node.settings
    python = settings.interpreter if interpreter is None else f"{layout.python(interpreter.digest)}/bin/python3"
    label = layout.apply_label
    values = {
        "ROOT": layout.root,
        "ADMIN": layout.admin,
        "ADMIN_GROUP": layout.admin_group,
        "OWNER": layout.owner,
        "GROUP": layout.group,
        "LABEL": label,
        "DOMAIN": layout.domain,
        "PLIST": layout.plist(label),
        "HELPER": layout.helper,
        "SUDOERS": f"{layout.sudoers_dir}/{sudoers_name(node.name)}",
        "INTERPRETER": python,
        "PYTHON_DIGEST": interpreter.digest if interpreter else "",
        "SYNC_DIGEST": sync[0],
        "SAME_USER": "no" if settings.sudo else "yes",
        **{name.upper(): layout.command(name) for name in ("launchctl", "plutil", "visudo", "shasum", "openssl")},
    }
    adopted = Adopted(
        layout_digest=digest_of(layout),
        interpreter=python,
        sync=sync[0],
        fleet_version=__version__,
        label_prefix=layout.label_prefix,
    )
    return Installation(
        script=script_text(("adopt.sh",), values),
        files={
            "helper": helper_text(node, python).encode(),
            "sudoers": sudoers_text(login, layout).encode(),
            "layout.json": canonical(layout),
            "adopted.json": canonical(adopted),
            "apply.plist": render_apply_plist(layout, python, templates).encode(),
            "sync.pyz": sync[1],
            "edge.cnf": certificate_config(node).encode(),
        },
        archive=archive,
    )


def helper_text(node: Node, interpreter: str) -> str:
    """The root-owned helper for this node. Raises InventoryError for a value that sh could read otherwise."""
    layout = node.settings.layout()
    values = {"ROOT": layout.root, "INTERPRETER": interpreter, "DOMAIN": layout.domain, "PREFIX": layout.label_prefix}
    values |= {name.upper(): layout.command(name) for name in _HELPER_COMMANDS}
    text = files("fleet.node.sync").joinpath("helper.sh").read_text(encoding="utf-8")
    head, body = text.split("set -u\n", 1)
    for name, value in values.items():
        if "'" in value or "\n" in value:
            raise InventoryError(f"{name.lower()} may hold neither quotes nor line breaks: {value!r}", node=node.name)
        body = body.replace(f"@{name}@", value)
    return f"{head}set -u\n{body}"


def sudoers_name(node: str) -> str:
    """The drop-in's file name: sudo ignores names with a dot (FACTS section 2.6)."""
    return "fleet-" + re.sub(r"[^A-Za-z0-9_-]", "_", node)


def sudoers_text(login: str, layout: NodeLayout) -> str:
    """One account may run one path without a password; the services' account may have a daemon of ours started by it.

    The pattern ends with a star, which sudo lets match anything: the helper itself takes one label, and only its own.
    """
    path = re.sub(r"([\\,:= ])", r"\\\1", layout.helper)
    lines = [
        "# Written by `fleet adopt`: this account may run fleet's helper as root, and nothing else by this file.",
        f"{_account(login)} ALL=(root) NOPASSWD: {path}",
    ]
    if layout.owner != login:
        lines += [
            "# The agent may have one of fleet's own daemons started that launchd puts off.",
            f"{_account(layout.owner)} ALL=(root) NOPASSWD: {path} start {layout.label_prefix}.*",
        ]
    return "\n".join(lines) + "\n"


def _account(name: str) -> str:
    return re.sub(r"([\\,:= @!])", r"\\\1", name)


def certificate_config(node: Node) -> str:
    """What openssl (and LibreSSL, as macOS has it) reads to make the edge's certificate."""
    names = ["DNS:localhost", "IP:127.0.0.1"]
    for host in dict.fromkeys([node.settings.gateway_url_host or node.address, node.address]):
        try:
            names.append(f"IP:{ipaddress.ip_address(host)}")
        except ValueError:
            if re.fullmatch(r"[A-Za-z0-9._-]+", host):
                names.append(f"DNS:{host}")
    common = re.sub(r"[^A-Za-z0-9._-]", "_", node.name)[:64]
    return (
        "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = extensions\n"
        f"[name]\nCN = {common}\n"
        f"[extensions]\nsubjectAltName = {','.join(dict.fromkeys(names))}\n"
        "basicConstraints = critical,CA:FALSE\nextendedKeyUsage = serverAuth\n"
    )


def parse_installed(text: str) -> Installed:
    """What the script printed. Cut text is not done."""
    _, magic, rest = text.partition(_MAGIC)
    lines = rest.splitlines() if magic else []
    pem = "\n".join(line[1:] for line in lines if line.startswith("|"))
    pin: str | None = None
    try:
        pin = pin_of(ssl.PEM_cert_to_DER_cert(pem + "\n")) if pem else None
    except ValueError:
        pin = None
    return Installed(
        changed=tuple(line.removeprefix("changed ") for line in lines if line.startswith("changed ")),
        failed=next((line.removeprefix("failed ") for line in lines if line.startswith("failed ")), None),
        edge_key=pin,
        done="done" in lines,
    )


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
