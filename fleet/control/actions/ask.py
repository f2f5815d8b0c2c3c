"""`fleet ask`: a question to a model through a front, over TLS pinned by the node's key."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from fleet.control.inventory import Inventory, Node
from fleet.control.inventory.project import Project
from fleet.control.link.http import HttpStream, https_pinned, stream
from fleet.control.link.protocol import Link, target_of
from fleet.control.playbook import Playbook
from fleet.control.playbook.tasks import GatewayDaemon
from fleet.control.supply.secrets import resolve_secret
from fleet.errors import FleetError, NodeError, NotAdopted, SupplyError, Unreachable, UsageError
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where a front takes requests, as seen from here."""

    node: Node
    host: str
    port: int
    pin: str | None
    key: Secret

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"{'https' if self.pin else 'http'}://{self.host}:{self.port}/v1"


@dataclass(kw_only=True)
class Reply:
    """What came back, filled in while the answer streams."""

    route: str = ""
    upstream: str = ""
    model: str = ""
    finish: str = ""
    usage: dict[str, object] = field(default_factory=dict)


def fronts(inventory: Inventory, playbook: Playbook) -> tuple[Node, ...]:
    """The nodes that the playbook makes a front, in inventory order."""
    plays = [
        play
        for play in playbook.plays
        for task in play.tasks
        if isinstance(task.action, GatewayDaemon) and task.action.role == "front"
    ]
    names = {node.name for play in plays for node in inventory.select(play.hosts)}
    return tuple(node for node in inventory.nodes.values() if node.name in names)


def door_of(inventory: Inventory, playbook: Playbook, project: Project, *, node: str | None) -> Door:
    """The door of the first front, or of `node`. Raises UsageError, NotAdopted, SupplyError."""
    found = (inventory.node(node),) if node else fronts(inventory, playbook)
    if not found:
        raise UsageError(
            "the playbook makes no node a front", hint="a task `daemon: {service: gateway, role: front}` does"
        )
    front = found[0]
    settings = front.settings
    if settings.gateway_tls and not settings.edge_key:
        raise NotAdopted("its TLS key is not pinned yet", node=front.name, hint=f"fleet adopt {front.name}")
    if settings.gateway_key is None:
        raise SupplyError(
            "no gateway_key in the inventory", node=front.name, hint="set gateway_key: file:secrets/gateway.key"
        )
    return Door(
        node=front,
        host=settings.gateway_url_host or settings.address or front.name,
        port=settings.gateway_port,
        pin=settings.edge_key if settings.gateway_tls else None,
        key=resolve_secret(settings.gateway_key, project),
    )


def curl_of(door: Door, *, question: str, model: str, key_file: str) -> str:
    """The same question as a curl command; the key is read from its file, never shown."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": question}]})
    pin = f"--insecure --pinnedpubkey {shlex.quote(door.pin)} " if door.pin else ""
    return (
        f"curl {pin}{door.url}/chat/completions \\\n"
        f'  -H "Authorization: Bearer $(cat {shlex.quote(key_file)})" \\\n'
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def ask(
    door: Door,
    question: str,
    *,
    model: str,
    link: Link,
    project: Project,
    emit: Callable[[str], None],
    system: str | None = None,
    max_tokens: int | None = None,
    wait_seconds: float = 300.0,
) -> Reply:
    """Stream the answer to `emit`, piece by piece. Straight over the network; through SSH where that is shut.

    Without TLS nothing says who answers there, so the key then goes through SSH (or stays on this machine).

    Raises Unreachable, HostKeyError, NodeError (the gateway's own words).
    """
    messages = [{"role": "system", "content": system}] if system else []
    request: dict[str, object] = {
        "model": model,
        "messages": [*messages, {"role": "user", "content": question}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        request["max_tokens"] = max_tokens
    body = json.dumps(request).encode()
    headers = {"Authorization": f"Bearer {door.key.reveal()}", "Content-Type": "application/json"}
    with through(
        door, "/v1/chat/completions", body=body, headers=headers, link=link, project=project, timeout=wait_seconds
    ) as answer:
        return _read(answer, door, emit)


@contextmanager
def through(
    door: Door,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str],
    link: Link,
    project: Project,
    timeout: float,
) -> Iterator[HttpStream]:
    """GET, or POST when there is a body: straight over the network, through SSH where that is shut or unsafe.

    Raises Unreachable, HostKeyError.
    """
    with ExitStack() as stack:
        node = door.node
        if door.pin is not None or is_loopback(door.host):
            straight = https_pinned(
                door.host, door.port, path, pin=door.pin, body=body, headers=headers, timeout=timeout, node=node.name
            )
            try:
                answer = stack.enter_context(straight)
            except Unreachable as shut:
                if shut.code != "unreachable" or not is_loopback(node.settings.gateway_bind):
                    raise
            else:
                yield answer
                return
        session = link.connect(target_of(node, base=project.root))
        stack.callback(session.close)
        yield stack.enter_context(
            stream(session, door.port, path, body=body, headers=headers, tls_pin=door.pin, timeout=timeout)
        )


def _read(answer: HttpStream, door: Door, emit: Callable[[str], None]) -> Reply:
    if answer.status != 200:
        raise _refusal(answer.status, answer.read(), answer.headers.get("retry-after"), door)
    reply = Reply(
        route=answer.headers.get("x-fleet-route", ""),
        upstream=answer.headers.get("x-fleet-upstream", ""),
        model=answer.headers.get("x-fleet-model", ""),
    )
    ended = _events(answer.lines(), reply, door, emit)
    if not ended:
        raise NodeError(
            "the answer was cut off", node=door.node.name, hint="fleet status shows what became of the model"
        )
    return reply


def _events(lines: Iterable[bytes], reply: Reply, door: Door, emit: Callable[[str], None]) -> bool:
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return True
        try:
            event = json.loads(data)
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        if isinstance(event.get("error"), dict):
            raise NodeError(str(event["error"].get("message", "the stream failed")), node=door.node.name)
        if isinstance(event.get("usage"), dict):
            reply.usage = event["usage"]
        for choice in event.get("choices") or ():
            text = (choice.get("delta") or {}).get("content")
            if text:
                emit(str(text))
            reply.finish = choice.get("finish_reason") or reply.finish
    return False


def _refusal(status: int, body: bytes, retry_after: str | None, door: Door) -> FleetError:
    try:
        message = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace")[:500] or f"HTTP {status}"
    hints = {
        401: "the front does not know this key: fleet deploy brings gateway_key there",
        404: "ask with --route and one of the served models",
        503: "fleet status shows why no model can serve now"
        + (f"; try again in {retry_after} s" if retry_after else ""),
    }
    return NodeError(message, node=door.node.name, detail=f"HTTP {status} from {door.url}", hint=hints.get(status, ""))
