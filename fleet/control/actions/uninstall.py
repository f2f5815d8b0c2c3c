"""`fleet uninstall`: no daemon and no file of ours left on a node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.control.actions.reach import require_adopted
from fleet.control.actions.spread import on_each
from fleet.control.inventory import Node
from fleet.control.link.frames import FrameReader, MagicMissing
from fleet.control.link.protocol import Link, target_of
from fleet.control.rollout.conversation import helper_argv
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.contracts.sync import Done, Event, Failed
from fleet.vocabulary.names import NodeName

_STEP_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class Removal:
    """How it went on one node. `steps` says what was done; `absent` = there was nothing of ours."""

    node: NodeName
    steps: tuple[str, ...] = ()
    absent: bool = False
    error: FleetError | None = None


def uninstall(nodes: Sequence[Node], *, link: Link, base: Path, keep_data: bool) -> Iterator[Removal]:
    """Take fleet off every node at once; answers in the order in which they come."""
    return on_each(
        nodes,
        lambda node: _remove(node, link=link, base=base, keep_data=keep_data),
        failed=lambda node, error: Removal(node=node.name, error=error),
    )


def _remove(node: Node, *, link: Link, base: Path, keep_data: bool) -> Removal:
    require_adopted(node)
    session = link.connect(target_of(node, base=base))
    try:
        helper = helper_argv(node.settings.layout(), sudo=node.settings.sudo)
        command = helper.plus("uninstall", *(["--keep-data"] if keep_data else []))
        channel = session.exec(command.text)
        frames = FrameReader(channel, node=node.name)
        try:
            frames.skip_to_magic(within_seconds=_STEP_SECONDS)
        except MagicMissing as missing:
            if _helper_is_missing(missing, helper.words[-1]):
                return Removal(node=node.name, absent=True)
            raise
        steps: list[str] = []
        while True:
            match frames.read_any(within_seconds=_STEP_SECONDS):
                case Event(status="failed") as event:
                    raise NodeError(event.text or event.key, node=node.name, detail=event.detail)
                case Event(phase="step") as event:
                    steps.append(event.text or event.key)
                case Failed() as failed:
                    raise NodeError(failed.title, node=node.name, detail=failed.detail, hint=failed.hint)
                case Done():
                    return Removal(node=node.name, steps=tuple(steps))
                case _:
                    continue
    finally:
        session.close()


def _helper_is_missing(missing: MagicMissing, helper: str) -> bool:
    """Whether sh (127) or sudo (1) said that the helper is not there. What a login shell prints proves nothing."""
    said = ("not found", "No such file")
    return missing.exit_status == 127 or any(
        helper in line and any(words in line for words in said) for line in missing.detail.splitlines()
    )
