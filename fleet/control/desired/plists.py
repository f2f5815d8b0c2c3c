"""Whether launchd would read a plist the way it is meant: types, then the rules of FACTS section 1. Pure."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers.expat import ExpatError

from fleet.control.desired.keytable import Problem, check_key, launchd_keys
from fleet.control.inventory.finding import Finding
from fleet.errors import PlistError

_PATH_KEYS = ("Program", "WorkingDirectory", "StandardInPath", "StandardOutPath", "StandardErrorPath", "RootDirectory")
_SECRET_NAME = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)$", re.IGNORECASE)
_DECODE_PATH = (".gateway", ".sidecar.")


def require_plist(text: str, *, label: str, domain: str, template: str) -> tuple[Finding, ...]:
    """Refuse a plist that launchd would refuse or misread. Gives the warnings. Raises PlistError with every error."""
    findings = check_plist(text, label=label, domain=domain, template=template)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        first, *more = errors
        raise PlistError(
            first.message,
            place=first.place,
            detail="\n".join(f"{finding.place}: {finding.message}" for finding in more),
            hint=first.hint,
        )
    return tuple(finding for finding in findings if finding.level == "warning")


def check_plist(text: str, *, label: str, domain: str = "system", template: str = "") -> tuple[Finding, ...]:
    """What is wrong with the rendered plist of the job `label` in `domain` (`system`, `gui/UID`, `user/UID`)."""
    where = template or f"{label}.plist"
    try:
        plist = plistlib.loads(text.encode())
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, ExpatError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        place = f"{where} (rendered, line {line})" if line else where
        return (Finding(place, "error", f"not a property list: {error}", "a value with & or < needs escaping"),)
    if not isinstance(plist, dict):
        return (Finding(where, "error", "a job is a dict, and this is none", ""),)
    problems = [*_table(plist), *_program(plist), *_environment(plist), *_numbers(plist), *_keep_alive(plist)]
    problems += [*_identity(plist, label, domain), *_class(plist, label)]
    return tuple(
        Finding(_place(where, text, path), level, f"{path}: {message}", hint) for level, path, message, hint in problems
    )


def _table(plist: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in plist.items():
        yield from check_key(name, value, launchd_keys())


def _program(plist: Mapping[str, Any]) -> Iterator[Problem]:
    argv = plist.get("ProgramArguments")
    program = plist.get("Program")
    if program is None and not argv:
        yield "error", "ProgramArguments", "a job needs a program", ""
    if isinstance(argv, list):
        words = [word for word in argv if isinstance(word, str)]
        if words and program is None and not words[0].startswith("/"):
            yield "error", "ProgramArguments[0]", f"{words[0]!r} is not absolute", "launchd's PATH is the system's only"
        for index, word in enumerate(words):
            if word.startswith("~"):
                yield "error", f"ProgramArguments[{index}]", f"launchd does not expand {word!r}", "write the whole path"
    for key in _PATH_KEYS:
        value = plist.get(key)
        if isinstance(value, str) and not value.startswith("/"):
            yield "error", key, f"{value!r} is not absolute", "launchd expands neither ~ nor $VAR"


def _environment(plist: Mapping[str, Any]) -> Iterator[Problem]:
    environment = plist.get("EnvironmentVariables")
    if not isinstance(environment, dict):
        return
    for name, value in environment.items():
        path = f"EnvironmentVariables.{name}"
        if not isinstance(value, str):
            continue  # the table says so
        if value.startswith("~"):
            yield "error", path, f"launchd does not expand {value!r}", "write the whole path"
        if _SECRET_NAME.search(name) and value and not value.startswith("/"):
            yield (
                "error",
                path,
                "a secret in a plist is readable by everybody on the node",
                "put it into a 0600 file (a `file` task with `secret`) and name the file here",
            )


def _numbers(plist: Mapping[str, Any]) -> Iterator[Problem]:
    if plist.get("ThrottleInterval") == 0:
        yield "error", "ThrottleInterval", "launchd ignores 0 and takes 10", "10 or more for what is kept alive"
    if plist.get("ExitTimeOut") == 0:
        yield (
            "error",
            "ExitTimeOut",
            "0 means for ever: a stop would never end",
            "state the seconds that a stop may take",
        )
    if isinstance(plist.get("Umask"), str):
        yield "error", "Umask", "a string is read as octal or not by its first digit", "write an integer: 63 is 077"
    soft, hard = (_files(plist, key) for key in ("SoftResourceLimits", "HardResourceLimits"))
    if (soft is None) != (hard is None):
        missing = "SoftResourceLimits" if soft is None else "HardResourceLimits"
        yield "error", missing, "NumberOfFiles needs both the soft and the hard limit", "soft cannot exceed hard"
    elif soft is not None and hard is not None and soft > hard:
        yield "error", "SoftResourceLimits", f"NumberOfFiles {soft} exceeds the hard limit {hard}", ""


def _files(plist: Mapping[str, Any], key: str) -> int | None:
    limits = plist.get(key)
    value = limits.get("NumberOfFiles") if isinstance(limits, dict) else None
    return value if isinstance(value, int) else None


def _keep_alive(plist: Mapping[str, Any]) -> Iterator[Problem]:
    keep = plist.get("KeepAlive")
    if isinstance(keep, dict):
        if set(keep) == {"Crashed"}:
            what = (
                "does not bring it back after SIGKILL or exit 1" if keep["Crashed"] else "brings it back for good exits"
            )
            yield "error", "KeepAlive.Crashed", f"Crashed alone {what}", "true, or SuccessfulExit: false beside it"
        if not keep:
            yield "error", "KeepAlive", "an empty dict keeps nothing alive", "true"
    if keep is True and plist.get("LaunchOnlyOnce") is True:
        yield "error", "LaunchOnlyOnce", "contradicts KeepAlive", ""
    if keep is True and plist.get("EnablePressuredExit") is True:
        yield "warning", "EnablePressuredExit", "ignored with KeepAlive", ""


def _identity(plist: Mapping[str, Any], label: str, domain: str) -> Iterator[Problem]:
    found = plist.get("Label")
    if found is None:
        yield "error", "Label", "a job needs a label", label
    elif found != label:
        yield "error", "Label", f"{found!r} is not the name of its file, {label}.plist", f"write {label}"
    sessions = plist.get("LimitLoadToSessionType")
    wanted = [sessions] if isinstance(sessions, str) else sessions
    if domain == "system":
        if sessions is not None:
            yield "warning", "LimitLoadToSessionType", "means nothing in the system domain", "leave it out"
        return
    for key in ("UserName", "GroupName"):
        if key in plist:
            reason = f"launchd ignores it in {domain}: the job runs as the user of that domain"
            yield "error", key, reason, "leave it out, or use the system domain"
    if domain.startswith("user/") and (not isinstance(wanted, list) or "Background" not in wanted):
        reason = f"{domain} takes only jobs of the Background session (bootstrap fails with 134)"
        yield "error", "LimitLoadToSessionType", reason, "add Background"
    if domain.startswith("gui/") and isinstance(wanted, list) and "Aqua" not in wanted:
        yield "error", "LimitLoadToSessionType", f"{domain} is an Aqua session", "add Aqua, or leave the key out"


def _class(plist: Mapping[str, Any], label: str) -> Iterator[Problem]:
    if any(label.endswith(part) or (part.endswith(".") and part in label) for part in _DECODE_PATH):
        found = plist.get("ProcessType", "Standard")
        if found != "Interactive":
            reason = f"{found} throttles what answers requests (8 times slower with Background)"
            yield "error", "ProcessType", reason, "Interactive"
        if "ExitTimeOut" not in plist:
            yield "error", "ExitTimeOut", "launchd's own default kills after 5 seconds", "state it"
    if plist.get("ProcessType") == "Background":
        yield "warning", "ProcessType", "Background means efficiency cores and throttled disk, for its children too", ""


def _place(where: str, text: str, path: str) -> str:
    """The template, and the line of the rendered text that holds the last named key of `path`."""
    names = [name for name in re.split(r"[.\[\]]", path) if name and not name.isdigit()]
    for name in reversed(names):
        for number, line in enumerate(text.splitlines(), 1):
            if f"<key>{name}</key>" in line:
                return f"{where} (rendered, line {number})"
    return where
