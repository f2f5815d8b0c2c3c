"""The gateway's metrics and its agent's on one page: every family once, and nothing that a scraper would refuse. Pure.

The gateway's own page is known to be right. The agent's is read line by line: what is no sample of a declared family
is left out, for one odd line would cost the scraper the whole page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.vocabulary.exposition import Exposition

_KINDS = ("counter", "gauge", "histogram", "summary", "untyped")
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL_NAME = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="')
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"'
_HEAD = re.compile(rf"# (HELP|TYPE) ({_NAME}) ((?:[^\\\r]|\\[\\n])*)")
_SAMPLE = re.compile(rf"({_NAME})(\{{(?:{_LABEL}(?:,{_LABEL})*)?\}})? (\S+)")
_OWN_TYPE = re.compile(rb"^# TYPE (\S+) (\S+)\n", re.MULTILINE)
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
_THEIR_PROCESS, _OUR_NAME = "process_", "fleet_agent_"


@dataclass(slots=True)
class _Family:
    """A family of the agent's, under its name here. `samples` are by name and labels."""

    kind: str = ""
    about: str = ""
    samples: dict[str, str] = field(default_factory=dict)


def merged(own: bytes, agent: bytes | None) -> bytes:
    """Both pages. The agent's `process_*` are `fleet_agent_*` here. `agent` None = it gave none: `fleet_agent_up 0`."""
    page, more = own, []
    for name, family in families(agent or b"").items():
        if name != "fleet_agent_up":
            page, lines = _with(page, name, family)
            more += lines
    up = Exposition()
    up.one("fleet_agent_up", "gauge", "Whether the node's agent gave its metrics.", int(agent is not None))
    return page + "".join(f"{line}\n" for line in more).encode() + up.encode()


def families(page: bytes) -> Mapping[str, _Family]:
    """The families of an agent's page that have a kind, a help text and samples. Total."""
    found: dict[str, _Family] = {}
    for line in page.decode("utf-8", "replace").split("\n"):
        if head := _HEAD.fullmatch(line):
            word, name, text = head.groups()
            family = found.setdefault(_ours(name), _Family())
            if word == "HELP":
                family.about = family.about or text
            else:
                family.kind = family.kind or text
        elif sample := _SAMPLE.fullmatch(line):
            name, labels, value = _ours(sample[1]), sample[2] or "", sample[3]
            home = next((found[one] for one in _homes(name) if one in found and _holds(one, found[one], name)), None)
            if home is not None and _is_number(value) and _differ(_LABEL_NAME.findall(labels)):
                home.samples.setdefault(name + labels, value)
    return {name: one for name, one in found.items() if one.kind in _KINDS and one.about and one.samples}


def _with(page: bytes, name: str, family: _Family) -> tuple[bytes, list[str]]:
    """The page with a family, or the lines to add to its end. Of a family that is there already, what is new in it."""
    for own in _OWN_TYPE.finditer(page):
        if own[1].decode() != name:
            continue
        if own[2].decode() != family.kind:
            return page, []
        end = page.find(b"\n# ", own.end())
        end = len(page) if end < 0 else end + 1
        known = {line.rpartition(" ")[0] for line in page[own.end() : end].decode().split("\n")}
        new = "".join(f"{key} {value}\n" for key, value in family.samples.items() if key not in known)
        return page[:end] + new.encode() + page[end:], []
    heads = [f"# HELP {name} {family.about}", f"# TYPE {name} {family.kind}"]
    return page, heads + [f"{key} {value}" for key, value in family.samples.items()]


def _ours(name: str) -> str:
    """What a name of the agent's is called here: two processes are on this page."""
    return _OUR_NAME + name.removeprefix(_THEIR_PROCESS) if name.startswith(_THEIR_PROCESS) else name


def _homes(name: str) -> tuple[str, ...]:
    """The families that a sample of that name may belong to."""
    return (name, *(name.removesuffix(end) for end in ("_bucket", "_sum", "_count") if name.endswith(end)))


def _holds(home: str, family: _Family, name: str) -> bool:
    return name.removeprefix(home) in _PARTS.get(family.kind, ("",))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def _differ(names: list[str]) -> bool:
    return len(set(names)) == len(names)
