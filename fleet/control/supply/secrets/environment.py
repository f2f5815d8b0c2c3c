"""`env:NAME`: a variable of the environment. It has no version: looking at it costs nothing."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.control.inventory.secretrefs import EnvRef
from fleet.errors import SupplyError


def read_variable(ref: EnvRef, environ: Mapping[str, str]) -> str:
    """The value. Raises SupplyError when it is not set, or empty."""
    value = environ.get(ref.name, "")
    if not value:
        raise SupplyError(
            f"secret env:{ref.name}: {ref.name} is not set", hint=f"export {ref.name}=... before fleet is run"
        )
    return value
