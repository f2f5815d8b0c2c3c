"""`--set VAR=VALUE`: variables of one run, stronger than the inventory. VALUE is read as YAML, as in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleet.control.inventory.spot import Spot
from fleet.control.inventory.structure import Written
from fleet.control.inventory.typed import check_variables, setting_types
from fleet.control.inventory.yamlsource import parse_yaml
from fleet.errors import InventoryError, UsageError


def parse_overrides(texts: Sequence[str]) -> tuple[Written, ...]:
    """The variables of `--set`, in their order. Raises UsageError, InventoryError for a wrong type."""
    overrides = tuple(_parse(text) for text in texts)
    for override in overrides:
        check_variables([override], setting_types())
    return overrides


def _parse(text: str) -> Written:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UsageError(f"--set {text}: not VAR=VALUE", hint="like --set gateway_port=9000")
    place = f"--set {name}"
    if not value.strip():
        return Written(name, "", place)
    try:
        source = parse_yaml(value, name=place)
    except InventoryError as problem:
        raise UsageError(
            f"--set {text}: the value is not YAML", detail=problem.detail, hint=f"quotes help: --set '{name}=\"...\"'"
        ) from None
    return Written(name, source.value, place, raw=source.raw(()), spot=Spot(source))
