"""Make the sample anew: `openclaw config schema | python extract.py VERSION`, with the openclaw of that version.

Titles and descriptions are left out, and what fleet never writes is `true` (anything): a tenth of it is left.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

KEPT = ("$schema", "agents", "discovery", "env", "gateway", "logging", "models", "update")
NAMED = ("properties", "definitions", "$defs", "patternProperties")
COMMENT = (
    "The schema of openclaw.json as `openclaw config schema` of OpenClaw {} prints it, without titles and "
    "descriptions; what fleet never writes is true. MIT licence, Copyright (c) 2026 OpenClaw Foundation: LICENSE."
)


def stripped(value: Any, *, names: bool = False) -> Any:
    """Without titles and descriptions. `names`: the keys of this object are names, not words of the schema."""
    if isinstance(value, dict):
        kept = value if names else {k: v for k, v in value.items() if k not in ("title", "description")}
        return {key: stripped(inner, names=key in NAMED and not names) for key, inner in kept.items()}
    return [stripped(inner) for inner in value] if isinstance(value, list) else value


def main(version: str) -> None:
    """Read the whole schema, write the sample."""
    whole = json.load(sys.stdin)
    properties = {name: inner if name in KEPT else True for name, inner in whole["properties"].items()}
    sample = {"$comment": COMMENT.format(version), **stripped({**whole, "properties": properties})}
    path = Path(__file__).with_name(f"{version}.schema.json")
    path.write_text(json.dumps(sample, indent=0, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
