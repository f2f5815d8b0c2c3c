"""An interpreter for simulated Macs that compiles each environment once: all rooms of a suite have the same ones.

To compile is half of what a room costs. An environment is named by its content, so its bytecode is the same on every
node; the path of the sources in it is put right when it is imported. What is no environment is compiled as ever.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_PYTHON = """\
#!/bin/sh
[ "$4" = compileall ] && exec {python} -I -S {script} {cache} "$@"
exec {python} "$@"
"""


def compiling_once(python: str, cache: Path) -> str:
    """The path of an interpreter that is `python`, and keeps in `cache` what it compiled.

    It is made once and never again: daemons are restarted when the file of their program is another.
    """
    words = {"python": python, "script": str(Path(__file__).resolve()), "cache": str(cache)}
    text = _PYTHON.format_map({name: shlex.quote(word) for name, word in words.items()})
    made = cache / hashlib.sha256(text.encode()).hexdigest()[:16] / "python3"
    made.parent.mkdir(parents=True, exist_ok=True)
    if not made.exists():
        aside = Path(tempfile.mkdtemp(dir=cache)) / "python3"
        aside.write_text(text)
        aside.chmod(0o755)
        with suppress(FileExistsError):  # another worker was faster
            os.link(aside, made)
        shutil.rmtree(aside.parent)
    return str(made)


def main(cache: Path, words: list[str]) -> int:
    """`python WORDS`, where WORDS are `-I -S -m compileall ... -p PATH ... FOLDER`."""
    folder, path = Path(words[-1]), Path(words[words.index("-p") + 1])
    kept = cache / f"{path.name}.{sys.implementation.cache_tag}"
    if path.parent.name != "envs":
        return subprocess.run([sys.executable, *words], check=False).returncode
    if kept.is_dir():
        _carry(kept, folder)
        return 0
    code = subprocess.run([sys.executable, *words], check=False).returncode
    aside = Path(tempfile.mkdtemp(dir=cache))
    _carry(folder, aside)
    try:
        aside.rename(kept)
    except OSError:  # another worker was faster
        shutil.rmtree(aside)
    return code


def _carry(source: Path, target: Path) -> None:
    """Every file of bytecode, at the same place: the same file where the disk is the same. Nobody writes into one."""
    for folder, _, names in os.walk(source):
        if Path(folder).name != "__pycache__":
            continue
        place = target / os.path.relpath(folder, source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            try:
                os.link(f"{folder}/{name}", place / name)
            except FileExistsError:
                continue
            except OSError:
                shutil.copyfile(f"{folder}/{name}", place / name)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
