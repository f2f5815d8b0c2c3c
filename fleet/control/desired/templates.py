"""Templates: Jinja2 in a sandbox, strict about names, with a closed namespace.

A template comes from the project's `templates/`, else from the package's, and from nowhere else. It sees no clock, no
environment and no chance: the same inputs give the same text. XML is escaped in `*.plist.j2`.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fleet.control.desired.localfiles import FileDigests, Hashing, LocalContent, local_content
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.project import Project
from fleet.errors import PlaybookError, TemplateError
from fleet.vocabulary.contracts.desired import Blob

_LONE = re.compile(r"\s*\{\{((?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)
_BLOCK = re.compile(r"\{[%#]")


class _Sandbox(ImmutableSandboxedEnvironment):
    """Where `vars.items` is the variable of that name before it is a method of mappings."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class Templates:
    """The templates of one project. Reads files when asked, keeps them parsed; never writes."""

    def __init__(self, project: Project, *, digests: FileDigests | None = None) -> None:
        self._project = project
        self._digests = digests or Hashing()
        self._environment = _environment(jinja2.FunctionLoader(self._source))
        self._read: set[str] = set()
        self._scalars: dict[str, Callable[[Mapping[str, object]], object]] = {}
        self._plain: dict[str, tuple[LocalContent, Blob]] = {}

    def render(self, name: str, values: Mapping[str, object], *, asked: str = "") -> str:
        """The text of the template `templates/NAME`. Raises TemplateError with the template's file and line.

        `asked` is the place that asks for it: what the error names when there is no such template.
        """
        try:
            return self._environment.get_template(name).render(values)
        except jinja2.TemplateNotFound as error:
            raise TemplateError(
                f"no template {error.name or name!r}",
                place=name if error.name and error.name != name else asked,
                hint="templates/ of the project, then the shipped ones, are looked through; paths below them only",
            ) from error
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(str(error.message), place=f"{error.filename or error.name}:{error.lineno}") from error
        except jinja2.TemplateError as error:
            raise self._failed(name, error, values) from error
        except Exception as error:  # an expression of a template may raise anything
            raise self._failed(name, error, values) from error

    def plain(self, name: str) -> tuple[LocalContent, Blob] | None:
        """A file below templates/ as it stands, digested once for all nodes; None when there is none."""
        if name not in self._plain:
            inside = not Path(name).is_absolute() and ".." not in Path(name).parts
            path = self._project.file("templates", name) if inside else None
            if path is None:
                return None
            self._plain[name] = local_content(path, self._digests)
        return self._plain[name]

    def scalar(self, text: str, values: Mapping[str, object], *, place: str = "") -> object:
        """`text` with its `{{ }}` filled in; a lone `{{ x }}` keeps the type of x. Raises PlaybookError."""
        if "{{" not in text and not _BLOCK.search(text):
            return text
        if _BLOCK.search(text):
            raise PlaybookError(
                "only {{ }} is understood inside a task", place=place, detail=text, hint="put logic into a template"
            )
        try:
            if text not in self._scalars:
                self._scalars[text] = self._parsed(text)
            value = self._scalars[text](values)
            if isinstance(value, jinja2.Undefined):
                str(value)  # a StrictUndefined raises here, and says its name
        except jinja2.TemplateError as error:
            raise PlaybookError(_message(error), place=place, detail=text, hint=_hint(error, values)) from error
        except Exception as error:  # an expression may raise anything
            raise PlaybookError(_message(error), place=place, detail=text) from error
        return value

    def _parsed(self, text: str) -> Callable[[Mapping[str, object]], object]:
        lone = _LONE.fullmatch(text)
        if lone is None:
            return self._environment.from_string(text).render
        expression = self._environment.compile_expression(lone[1], undefined_to_none=False)
        return lambda values: expression(**values)

    def _source(self, name: str) -> tuple[str, str, None] | None:
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts or "\\" in name:
            return None
        path = self._project.file("templates", name)
        if path is None or not _inside(path, name):
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise TemplateError("not UTF-8 text", place=str(path)) from error
        self._read.add(str(path))
        return text, str(path), None

    def _failed(self, name: str, error: Exception, values: Mapping[str, object]) -> TemplateError:
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in self._read]
        place = f"{lines[-1].filename}:{lines[-1].lineno}" if lines else name
        return TemplateError(_message(error), place=place, hint=_hint(error, values))


def _environment(loader: jinja2.BaseLoader) -> _Sandbox:
    environment = _Sandbox(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith((".plist.j2", ".xml.j2")),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals = {"range": environment.globals["range"]}
    del environment.filters["random"]
    return environment


def _inside(path: Path, name: str) -> bool:
    """Whether a symbolic link has not led out of the folder that the name is below."""
    base = path
    for _ in Path(name).parts:
        base = base.parent
    return path.resolve().is_relative_to(base.resolve())


def _message(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateError):
        return error.message or type(error).__name__
    return f"{type(error).__name__}: {error}"


def _hint(error: Exception, values: Mapping[str, object]) -> str:
    """The nearest name to one that is not there."""
    missing = re.search(r"'(\w+)' is undefined|has no attribute '(\w+)'", _message(error))
    if not missing:
        return ""
    known = (
        set(values) if missing[1] else {key for value in values.values() if isinstance(value, Mapping) for key in value}
    )
    return did_you_mean(missing[1] or missing[2], known) or f"there is: {', '.join(sorted(values))}"
