"""A rendered plist -> the Daemon item: what sync must know of a job is read from the plist itself. Pure."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.control.desired.contents import Contents
from fleet.errors import PlistError
from fleet.vocabulary.contracts.desired import Daemon, Drain
from fleet.vocabulary.layout import NodeLayout

LAUNCHD_EXIT_SECONDS = 5
"""launchd's own SIGTERM-to-SIGKILL time where a plist says nothing (FACTS section 1.3)."""
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)


def daemon_item(
    text: str,
    *,
    task: str,
    service: str,
    layout: NodeLayout,
    contents: Contents,
    ports: tuple[int, ...] = (),
    inputs: Mapping[str, str] | None = None,
    reload: Mapping[str, str] | None = None,
    drain: Drain | None = None,
) -> Daemon:
    """The item of a checked plist. A job that is not kept alive is on demand: registered, not expected to run."""
    plist: dict[str, Any] = plistlib.loads(text.encode())
    argv = plist.get("ProgramArguments") or []
    account, group = (layout.owner, layout.group) if layout.domain != "system" else (layout.admin, layout.admin_group)
    if contents.holds_secret((*_words(plist), *_COMMENT.findall(text))):
        raise PlistError(
            f"the plist of {service} holds a secret, which everybody on the node could read",
            hint="name the 0600 file that holds it instead",
        )
    return Daemon(
        task=task,
        label=plist["Label"],
        service=service,
        plist=contents.add(text.encode()),
        user=plist.get("UserName", account),
        group=plist.get("GroupName", group),
        program=plist.get("Program") or argv[0],
        exit_timeout_seconds=plist.get("ExitTimeOut", LAUNCHD_EXIT_SECONDS),
        ports=ports,
        inputs=dict(inputs or {}),
        reload=dict(reload or {}),
        logs=tuple(dict.fromkeys(plist[key] for key in ("StandardOutPath", "StandardErrorPath") if key in plist)),
        on_demand=not plist.get("KeepAlive"),
        drain=drain,
    )


def _words(value: Any) -> Iterator[str]:
    """Every text of a plist, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
