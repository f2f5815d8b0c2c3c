"""What doctor reads of OpenClaw on a node. Pure; the parser is total: odd, cut or foreign text is unknown."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_STATUS = re.compile(r"^(\d{3})$")
_FAULTS = frozenset({"invalid-config", "no-mode", "port-taken", "no-environment"})
_FILE = re.compile(r"^== (/\S.*)$")
_PROVIDER = re.compile(r'^\s*"([^"]+)":\s*\{\s*$')
_FIELD = re.compile(r'"(baseUrl|apiKey)":\s*"([^"]*)"')


@dataclass(frozen=True)
class Leftover:
    """An agent's models.json that says of provider `fleet` where it is, or by which key (never the key itself)."""

    path: str
    base_url: str | None = None
    own_key: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenClawSeen:
    """OpenClaw's service on a node. Unknown is None.

    `config` is openclaw.json; `variables` are the names that its environment file sets, `told` those of its plist;
    `ready` what /readyz answered (0 = nobody did) and `failing` what is not well there; `faults` are words for what
    its log says since the last start.
    """

    program: str | None = None
    program_there: bool | None = None
    port: int | None = None
    config: Mapping[str, Any] | None = None
    variables: frozenset[str] | None = None
    told: frozenset[str] = frozenset()
    ready: int | None = None
    failing: tuple[str, ...] = ()
    faults: frozenset[str] = frozenset()
    leftovers: tuple[Leftover, ...] = field(default=())


def parse_openclaw(well: Mapping[str, str], out: Mapping[str, str]) -> OpenClawSeen | None:
    """What the blocks `openclaw.*` say: `well` are those that ended well, `out` all. None without the service."""
    if "openclaw.plist" not in out:
        return None
    plist = _plist(well.get("openclaw.plist", ""))
    words = [word for word in plist.get("ProgramArguments") or [] if isinstance(word, str)]
    told = plist.get("EnvironmentVariables")
    status, failing = _ready(well.get("openclaw.ready"))
    runtime = well.get("openclaw.runtime", "").strip()
    return OpenClawSeen(
        program=words[0] if words else None,
        program_there={"there": True, "gone": False}.get(runtime),
        port=_port(words),
        config=_object(well.get("openclaw.config")),
        variables=frozenset(well["openclaw.env"].split()) if "openclaw.env" in well else None,
        told=frozenset(told) if isinstance(told, dict) else frozenset(),
        ready=status,
        failing=failing,
        faults=frozenset(well.get("openclaw.log", "").split()) & _FAULTS,
        leftovers=tuple(_leftovers(well.get("openclaw.models", ""))),
    )


def _plist(text: str) -> dict[str, Any]:
    try:
        found = plistlib.loads(text.encode())
    except Exception:  # noqa: BLE001 (plistlib raises whatever its XML parser does)
        return {}
    return found if isinstance(found, dict) else {}


def _port(words: list[str]) -> int | None:
    after = words[words.index("--port") + 1 :] if "--port" in words else []
    return int(after[0]) if after and after[0].isdigit() and len(after[0]) < 6 else None


def _object(text: str | None) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _ready(said: str | None) -> tuple[int | None, tuple[str, ...]]:
    """The answer's body, and its status on the last line; 000 is curl's word for none."""
    lines = (said or "").strip().splitlines()
    match = _STATUS.match(lines[-1]) if lines else None
    if match is None:
        return None, ()
    failing = (_object("\n".join(lines[:-1])) or {}).get("failing")
    names = tuple(str(one)[:60] for one in failing[:5]) if isinstance(failing, list) else ()
    return int(match[1]), names


def _leftovers(text: str) -> list[Leftover]:
    """Of lines of models.json: a heading per file, names of providers, and their two fields."""
    found: list[Leftover] = []
    path = provider = ""
    for line in text.splitlines():
        if heading := _FILE.match(line):
            path, provider = heading[1], ""
            found.append(Leftover(path))
        elif name := _PROVIDER.match(line):
            provider = name[1]
        elif found and provider == "fleet" and (said := _FIELD.search(line)):
            last = found.pop()
            url, key = (said[2], last.own_key) if said[1] == "baseUrl" else (last.base_url, said[2] == "set")
            found.append(Leftover(path, url, key))
    return found
