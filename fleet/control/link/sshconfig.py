"""ssh_config as ssh reads it where paramiko does not: Include, `Match exec` without our stdin, odd matches."""

from __future__ import annotations

import glob
import io
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import paramiko

_SYSTEM = Path("/etc/ssh/ssh_config")
_CRITERIA = {"all", "canonical", "final", "host", "originalhost", "user", "localuser", "exec"}
_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*")
_MOST_DEEP = 16
_EXEC_SECONDS = 10.0


class SshConfig(paramiko.SSHConfig):
    """What some ssh_config files say, the first one first."""

    _config: list[dict[str, Any]]  # paramiko's own; there is no other way to see the blocks

    @classmethod
    def of(cls, files: Iterable[Path]) -> SshConfig:
        """Of the files that are there. Raises OSError and SSHException."""
        config = cls()
        for path in files:
            if path.is_file():
                config.parse(io.StringIO("".join(f"{line}\n" for line in included(path, base=path.parent))))
        return config

    def said_of(self, address: str) -> dict[str, Any]:
        """What is said of an address. Raises SSHException.

        paramiko takes a `Match` by what it does not know (`localnetwork`, `tagged`, ...) for one that matches. Such a
        block is refused where it would make a difference.
        """
        found = dict(self.lookup(address))
        odd = [name for block in self._config for name in _criteria(block) - _CRITERIA]
        if odd:
            understood = SshConfig()
            understood._config = [block for block in self._config if not _criteria(block) - _CRITERIA]
            if dict(understood.lookup(address)) != found:
                raise paramiko.SSHException(f"only ssh knows what `Match {odd[0]}` means")
        return found

    def _does_match(
        self,
        match_list: list[dict[str, Any]],
        target_hostname: str,
        canonical: bool,  # noqa: FBT001 (paramiko's signature)
        final: bool,  # noqa: FBT001
        options: dict[str, Any],
    ) -> Any:
        commands = [match for match in match_list if match["type"] == "exec"]
        others = [match for match in match_list if match["type"] != "exec"]
        if others and not super()._does_match(  # type: ignore[misc] # the stubs lack it
            others, target_hostname, canonical, final, options
        ):
            return False
        for match in commands:
            command = self._tokenize(  # type: ignore[attr-defined] # the stubs lack it
                options, target_hostname, "match-exec", match["param"]
            )
            if _succeeds(command) is match["negate"]:
                return False
        return match_list


def usual_files(home: Path) -> tuple[Path, ...]:
    """Where ssh looks."""
    return (home / ".ssh/config", _SYSTEM)


def included(path: Path, *, base: Path, depth: int = 0) -> Iterator[str]:
    """The lines of a file with those of the files that it includes. Relative names are beside the first file.

    A block that an Include stands in goes on behind it. Raises OSError.
    """
    block = "Match all"
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        word = match[1].lower() if match else ""
        if word in ("host", "match"):
            block = line
        if match is None or word != "include" or depth >= _MOST_DEEP:
            yield line
            continue
        for pattern in match[2].replace('"', " ").split():
            whole = str(base / os.path.expanduser(pattern))  # noqa: PTH111 (Path's own fails for a name unknown)
            for name in sorted(glob.glob(whole)):  # noqa: PTH207 (an absolute pattern)
                if Path(name).is_file():
                    yield from included(Path(name), base=base, depth=depth + 1)
                    yield block


def _succeeds(command: str) -> bool:
    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        answer = subprocess.run(
            [shell, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_EXEC_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _criteria(block: dict[str, Any]) -> set[str]:
    return {str(match["type"]).lower() for match in block.get("matches", ())}
