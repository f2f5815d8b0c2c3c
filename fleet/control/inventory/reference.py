"""The table of variables in docs/inventory.md, made from the settings. A test holds the guide to it. Pure."""

from __future__ import annotations

import msgspec

from fleet.control.inventory.settings import ANSIBLE_ALIASES, NodeSettings, describe
from fleet.control.inventory.wording import expected_of


def variables_table() -> str:
    """Every variable that fleet understands: name, what it takes, default, meaning. Markdown."""
    aliases = {name: alias for alias, name in ANSIBLE_ALIASES.items()}
    rows = ["| variable | takes | default | meaning |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(NodeSettings):
        name = f"`{field.name}`" + (f", `{aliases[field.name]}`" if field.name in aliases else "")
        takes = expected_of(field.type)
        head, mark, pattern = takes.partition("text like ")
        takes = f"{head}{mark}`{pattern}`" if mark else takes
        cells = (name, takes, _default(field), describe(field.name))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    match field.default:
        case msgspec.NODEFAULT | None | msgspec.Struct():
            return ""
        case bool():
            return f"`{str(field.default).lower()}`"
        case _:
            return f"`{field.default}`"
