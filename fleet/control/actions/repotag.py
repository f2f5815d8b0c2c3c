"""What a repository is: the file `.fleet-repo` at its top, which says under what name and label clients send its tag.

The file is committed, so that a clone is tagged as well. A label that the remote has is not lowered here: that is a
change for those who review the repository.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from fleet.errors import ConfigError, FleetError, UsageError
from fleet.traffic.sensitivity.labels import REPO_HEADER, SENSITIVITY_HEADER, repo_name
from fleet.vocabulary.names import Sensitivity

FILE = ".fleet-repo"
REPO_VARIABLE = "FLEET_REPO"
SENSITIVITY_VARIABLE = "FLEET_SENSITIVITY"

_GIT_SECONDS = 20.0
_HEAD = """\
# What fleet's clients say of this repository: the headers x-fleet-repo and x-fleet-sensitivity.
# Change it with: fleet repo tag . LABEL
"""


class RepoTag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name under which the gateway's policy may know the repository, and its label."""

    name: str
    sensitivity: Sensitivity

    @property
    def text(self) -> str:
        """As it is in the file."""
        return f"{_HEAD}name: {self.name}\nsensitivity: {self.sensitivity.value}\n"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A working copy: its top, the tag in it, and the tag on the remote's branch that is called `remote`."""

    top: Path
    tag: RepoTag | None
    remote_tag: RepoTag | None
    remote: str
    suggested_name: str


def read_tag(text: str, place: str) -> RepoTag:
    """The tag that `text` is. Raises ConfigError."""
    try:
        tag = msgspec.convert(yaml.safe_load(text), RepoTag)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        labels = ", ".join(Sensitivity)
        raise ConfigError(
            "this is no tag of a repository",
            place=place,
            detail=str(error),
            hint=f"it holds two lines: name: NAME, and sensitivity: one of {labels}",
        ) from None
    if problem := name_problem(tag.name):
        raise ConfigError(problem, place=place)
    return tag


def name_problem(name: str) -> str:
    """Why `name` cannot go in a header, or ""."""
    if not name or not name.isascii() or not name.isprintable() or len(name) > 256:
        return "the name of a repository is 1 to 256 plain ASCII signs"
    return ""


def look(path: Path) -> Checkout:
    """The checkout around `path`. Outside of git it is the folder itself. Raises FleetError, ConfigError."""
    if not path.is_dir():
        raise UsageError(f"{path} is no folder", hint="name the folder of a repository: fleet repo tag . sensitive")
    top = _top(path)
    file = top / FILE
    try:
        tag = read_tag(file.read_text(), str(file)) if file.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"{file} cannot be read", detail=str(error)) from None
    remote, remote_tag = _remote_tag(top)
    origin = _git(top, "remote", "get-url", "origin") or ""
    return Checkout(top, tag, remote_tag, remote, repo_name(origin) or top.name.lower())


def write_tag(found: Checkout, label: Sensitivity, name: str | None = None) -> RepoTag:
    """Tag the checkout. The same again changes nothing. Raises UsageError for less than the remote says."""
    known = found.remote_tag or found.tag
    tag = RepoTag(name=name or (known.name if known else found.suggested_name), sensitivity=label)
    _keep(found, tag)
    if problem := name_problem(tag.name):
        raise UsageError(problem, hint="give it one: --name acme/shop")
    if tag != found.tag:
        new = found.top / f"{FILE}.new"
        try:
            new.write_text(tag.text)
            new.replace(found.top / FILE)
        except OSError as error:
            raise FleetError(f"{found.top / FILE} cannot be written", detail=str(error)) from None
    return tag


def remove_tag(found: Checkout) -> bool:
    """Untag the checkout; whether it was tagged. Raises UsageError when the remote has a tag."""
    if found.remote_tag is not None:
        raise _lower(found, found.remote_tag, "take it away")
    if found.tag is None:
        return False
    (found.top / FILE).unlink(missing_ok=True)
    return True


def exports(tag: RepoTag) -> str:
    """Lines for a POSIX shell (direnv's .envrc): the tag for clients that take headers from the environment."""
    headers = f"{REPO_HEADER}: {tag.name}\n{SENSITIVITY_HEADER}: {tag.sensitivity.value}"
    variables = {
        REPO_VARIABLE: tag.name,
        SENSITIVITY_VARIABLE: tag.sensitivity.value,
        "ANTHROPIC_CUSTOM_HEADERS": headers,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _keep(found: Checkout, tag: RepoTag) -> None:
    """Another name is as good as a lower label: the policy knows repositories by their names."""
    theirs = found.remote_tag
    if theirs is not None and tag.sensitivity.rank < theirs.sensitivity.rank:
        raise _lower(found, theirs, f"make it {tag.sensitivity.value}")
    if theirs is not None and tag.name != theirs.name:
        raise _lower(found, theirs, f"rename it from {theirs.name}")


def _lower(found: Checkout, theirs: RepoTag, what: str) -> UsageError:
    return UsageError(
        f"{found.top.name} is {theirs.sensitivity.value} on {found.remote}: a label is not lowered from a checkout",
        hint=f"to {what}, edit {FILE} and have the change reviewed; when {found.remote} has it, this follows",
    )


def _top(path: Path) -> Path:
    top = _git(path, "rev-parse", "--show-toplevel")
    if top:
        return Path(top)
    if any((folder / ".git").exists() for folder in (path.resolve(), *path.resolve().parents)):
        raise FleetError(
            f"git does not answer for {path}, so nobody knows what the remote says of it",
            hint="does git status work there?",
        )
    return path.resolve()


def _remote_tag(top: Path) -> tuple[str, RepoTag | None]:
    """The highest tag on the remote's default branch and on the branch that this one follows, as last fetched."""
    branches = [_git(top, "rev-parse", "--abbrev-ref", name) for name in ("origin/HEAD", "@{upstream}")]
    found: list[tuple[str, RepoTag]] = []
    for branch in dict.fromkeys([branch for branch in branches if branch] or ["origin/main", "origin/master"]):
        text = _git(top, "cat-file", "blob", f"{branch}:{FILE}")
        if text:
            found.append((branch, read_tag(text, f"{branch}:{FILE}")))
    return max(found, key=lambda one: one[1].sensitivity.rank, default=("", None))


def _git(folder: Path, *words: str) -> str | None:
    """What git prints; None when it fails or is not there. Asks nobody, fetches nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_SECONDS,
            env={**environment, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
