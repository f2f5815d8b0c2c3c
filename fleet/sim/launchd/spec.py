"""A plist as launchd understands it: read once, at bootstrap, and kept until bootout (FACTS section 1.3)."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.sim.launchd.calendar import Entry, entries_of

DEFAULT_THROTTLE_SECONDS = 10
DEFAULT_EXIT_TIMEOUT_SECONDS = 5
DEFAULT_OPEN_FILES = 256


class PlistRefused(Exception):
    """Launchd does not take the plist. `code` is what the unified log says; `reason` is for it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class KeepAlive:
    """When launchd starts a job again. `always` is `true`; the others are the keys of the dict, which are OR-ed."""

    always: bool = False
    successful_exit: bool | None = None
    crashed: bool | None = None

    @property
    def any(self) -> bool:
        """Whether there is any condition: it then implies RunAtLoad."""
        return self.always or self.successful_exit is not None or self.crashed is not None


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """The keys of a plist that this launchd acts on. Durations are seconds as written, not scaled."""

    path: str
    label: str
    program: str
    arguments: tuple[str, ...]
    inferred_program: bool
    user_name: str | None = None
    keep_alive: KeepAlive = field(default_factory=KeepAlive)
    run_at_load: bool = False
    throttle_seconds: int = DEFAULT_THROTTLE_SECONDS
    exit_timeout_seconds: int = DEFAULT_EXIT_TIMEOUT_SECONDS
    start_interval_seconds: int | None = None
    start_calendar: tuple[Entry, ...] = ()
    stdin: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    working_directory: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    umask: int = 0o022
    nice: int = 0
    abandon_process_group: bool = False
    process_type: str = "Standard"
    soft_open_files: int = DEFAULT_OPEN_FILES
    hard_open_files: int | None = None
    session_types: tuple[str, ...] = ("Aqua",)
    disabled: bool = False

    @property
    def starts_at_load(self) -> bool:
        """Whether launchd starts the job by itself when it is loaded."""
        return self.run_at_load or self.keep_alive.any


def read_spec(path: Path) -> JobSpec:
    """The job of a plist file. Raises PlistRefused with 109, 110 or 111."""
    try:
        data = plistlib.loads(path.read_bytes())
    except (OSError, ValueError, plistlib.InvalidFileException, SyntaxError) as error:
        raise PlistRefused(109, f"{path}: {error}") from error
    except Exception as error:
        raise PlistRefused(109, f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise PlistRefused(109, f"{path}: not a dictionary")
    return parse_spec(data, str(path))


def parse_spec(data: dict[str, Any], path: str) -> JobSpec:
    """The job of plist data. Unknown keys and wrongly typed values are ignored. Raises PlistRefused."""
    label = data.get("Label")
    if not isinstance(label, str) or not label:
        raise PlistRefused(110, f"{path}: no Label")
    words = data.get("ProgramArguments")
    arguments = tuple(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else ()
    program = data.get("Program")
    inferred = not isinstance(program, str)
    if inferred and not arguments:
        raise PlistRefused(111, f"{path}: neither Program nor ProgramArguments")
    name: str = arguments[0] if inferred else str(program)
    environment = _typed(data, "EnvironmentVariables", dict, {})
    soft = _typed(_typed(data, "SoftResourceLimits", dict, {}), "NumberOfFiles", int, DEFAULT_OPEN_FILES)
    hard = _typed(_typed(data, "HardResourceLimits", dict, {}), "NumberOfFiles", int, None)
    sessions = data.get("LimitLoadToSessionType", "Aqua")
    throttle = _typed(data, "ThrottleInterval", int, DEFAULT_THROTTLE_SECONDS)
    return JobSpec(
        path=path,
        label=label,
        program=name,
        arguments=arguments or (name,),
        inferred_program=inferred,
        user_name=_typed(data, "UserName", str, None),
        keep_alive=_keep_alive(data),
        run_at_load=_typed(data, "RunAtLoad", bool, default=False),
        throttle_seconds=throttle if throttle > 0 else DEFAULT_THROTTLE_SECONDS,  # 0 is refused and ignored
        exit_timeout_seconds=_typed(data, "ExitTimeOut", int, DEFAULT_EXIT_TIMEOUT_SECONDS),
        start_interval_seconds=_typed(data, "StartInterval", int, None),
        start_calendar=entries_of(data.get("StartCalendarInterval")),
        stdin=_typed(data, "StandardInPath", str, None),
        stdout=_typed(data, "StandardOutPath", str, None),
        stderr=_typed(data, "StandardErrorPath", str, None),
        working_directory=_typed(data, "WorkingDirectory", str, None),
        environment={key: value for key, value in environment.items() if isinstance(value, str)},
        umask=_umask(data.get("Umask")),
        nice=_typed(data, "Nice", int, 0),
        abandon_process_group=_typed(data, "AbandonProcessGroup", bool, default=False),
        process_type=_typed(data, "ProcessType", str, "Standard"),
        soft_open_files=soft,
        hard_open_files=hard,
        session_types=tuple(sessions) if isinstance(sessions, list) else (str(sessions),),
        disabled=_typed(data, "Disabled", bool, default=False),
    )


def _typed(data: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = data.get(key, default)
    if kind is int and isinstance(value, bool):
        return default
    return value if isinstance(value, kind) else default


def _keep_alive(data: dict[str, Any]) -> KeepAlive:
    value = data.get("KeepAlive", not data.get("OnDemand", True))
    if isinstance(value, dict):
        success, crashed = value.get("SuccessfulExit"), value.get("Crashed")
        return KeepAlive(
            successful_exit=success if isinstance(success, bool) else None,
            crashed=crashed if isinstance(crashed, bool) else None,
        )
    return KeepAlive(always=value is True)


def _umask(value: object) -> int:
    """A number is decimal, a string is read by its prefix (FACTS section 1.3)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value & 0o777
    if isinstance(value, str):
        try:
            return int(value, 8 if value.startswith("0") else 10) & 0o777
        except ValueError:
            pass
    return 0o022
