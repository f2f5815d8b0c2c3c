"""Where a value was written, and where each part of it stands."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.control.inventory.yamlsource import KeyPath, Positioned


@dataclass(frozen=True, eq=False, slots=True)
class Spot:
    """A value in a YAML file, by its path."""

    source: Positioned
    path: KeyPath = ()

    def at(self, *steps: object) -> str:
        """`file:line:column` of a part: of its key, or of the item of a list; of the nearest thing above it else."""
        path = (*self.path, *steps)
        if not steps or isinstance(steps[-1], int):
            return self.source.place(path)
        return self.source.key_place(path)
