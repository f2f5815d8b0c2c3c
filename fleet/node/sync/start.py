"""The zipapp's own __main__: what its modules compile to is kept beside it, since a start is mostly compiling.

ROOT/sync/DIGEST.pyz gets a ROOT/sync/DIGEST.cpython-313-MAGIC.zip of bytecode: made by the first start that may write
there, put in place whole, used by this very kind of interpreter only. Where it is not, or cannot be read, the modules
come from the zipapp as they are. Nothing dear is imported here: every start pays for it.
"""

from __future__ import annotations

import os
import sys
from importlib.util import MAGIC_NUMBER

_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)
"""Flags and hash of a pyc that is never compared with its source (PEP 552)."""


def bytecode_of(zipapp: str) -> str:
    """Where the bytecode of a zipapp is, for this interpreter."""
    return f"{zipapp.removesuffix('.pyz')}.{sys.implementation.cache_tag}-{MAGIC_NUMBER[:2].hex()}.zip"


def prefer_bytecode(zipapp: str) -> None:
    """Import from bytecode in this process, making it first where that can be done."""
    place = bytecode_of(zipapp)
    try:
        os.stat(place)  # noqa: PTH116 (no pathlib in a start)
    except OSError:
        try:
            compile_into(place, zipapp)
        except (OSError, ValueError, SyntaxError):
            return
    sys.path.insert(0, place)


def compile_into(place: str, zipapp: str) -> None:
    """Write the bytecode of a zipapp. Two who do so at once write the same."""
    import marshal
    import zipfile
    from pathlib import Path

    os.umask(0o022)
    part = Path(f"{place}.{os.getpid()}.new")
    try:
        with zipfile.ZipFile(zipapp) as source, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as out:
            for name in source.namelist():
                if name.endswith(".py") and name != "__main__.py":
                    code = compile(source.read(name), f"{zipapp}/{name}", "exec", dont_inherit=True)
                    out.writestr(f"{name}c", MAGIC_NUMBER + _UNCHECKED + marshal.dumps(code))
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    prefer_bytecode(os.path.realpath(sys.argv[0]))
    from fleet.node.sync.main import main

    raise SystemExit(main())
