"""Simulated `plutil -lint FILE...`. Standard library only: it runs with the node's interpreter."""

# A command that is copied into nodes, no part of the package.
# ruff: noqa: INP001, T201
import plistlib
import sys


def lint(paths: list[str]) -> int:
    """Print `FILE: OK` or the reason for each; 1 when any is bad."""
    status = 0
    for path in paths:
        try:
            with open(path, "rb") as file:
                plistlib.load(file)
        except FileNotFoundError:
            print(f"{path}: file does not exist or is not readable or is not a regular file")
            status = 1
        except Exception as error:  # noqa: BLE001 (plistlib raises whatever its XML parser raises)
            print(f"{path}: (Encountered {error})")
            status = 1
        else:
            print(f"{path}: OK")
    return status


if __name__ == "__main__":
    if "-lint" not in sys.argv[1:]:
        print("plutil: this simulation knows -lint only", file=sys.stderr)
        sys.exit(1)
    sys.exit(lint([word for word in sys.argv[1:] if not word.startswith("-")]))
