"""The suite that a name or a path means: of the project, else the shipped one. What is wrong is told with its place."""

from __future__ import annotations

from pathlib import Path

from fleet.control.inventory.project import Project
from fleet.control.inventory.spot import Spot
from fleet.control.inventory.yamlsource import load_yaml
from fleet.errors import ConfigError, SupplyError, UsageError
from fleet.practice.harness.suite import Suite
from fleet.practice.harness.suiteproblems import NoSuite, suite_of
from fleet.traffic.tools.offered import Schemas

SHIPPED = "fifty"
_ENDS = (".yml", ".yaml", ".json")
_MOST_TOLD = 12


class SuiteError(ConfigError):
    """A suite file is wrong."""

    code = "suite"


def load_suite(project: Project, name: str) -> Suite:
    """`fifty`, or the path of a file. Raises UsageError, SuiteError, SupplyError."""
    schemas = Schemas()
    if schemas.check({"type": "object"}) is None:
        raise SupplyError(
            "the harness needs the package jsonschema-rs", hint="install fleet again, with all it depends on"
        )
    spot = Spot(source := load_yaml(_path(project, name), error=SuiteError))
    try:
        return suite_of(source.value, schemas)
    except NoSuite as problem:
        first, *more = problem.problems
        told = [f"{spot.at(*one.path)}: {one.text}" for one in more[:_MOST_TOLD]]
        told += [f"and {len(more) - _MOST_TOLD} more"] if len(more) > _MOST_TOLD else []
        raise SuiteError(first.text, place=spot.at(*first.path), hint=first.hint, detail="\n".join(told)) from None


def _path(project: Project, name: str) -> Path:
    if name.endswith(_ENDS):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"{name}: no such suite", hint="fleet harness run --suite fifty is the shipped one")
        return path
    for end in _ENDS:
        found = project.file("suites", name + end)
        if found is not None:
            return found
    raise UsageError(f"there is no suite {name!r}", hint=f"suites/{name}.yml of the project, or a path")
