"""Simulated `lsof -nP -iTCP:PORT -sTCP:LISTEN [-t]` out of /proc. Standard library only; Linux only."""

# A command that is copied into nodes, no part of the package.
# ruff: noqa: INP001, T201, PTH208, PTH115, PTH116
import os
import pwd
import re
import socket
import struct
import sys

HEADER = "COMMAND    PID     USER   FD   TYPE             DEVICE SIZE/OFF NODE NAME"
LISTEN = "0A"


def address(text: str) -> str:
    """`0100007F` as `127.0.0.1`; the wildcard as `*`."""
    words = [struct.pack("<I", int(text[i : i + 8], 16)) for i in range(0, len(text), 8)]
    packed = b"".join(words)
    if not any(packed):
        return "*"
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]"


def listeners(port: int | None) -> dict[str, tuple[str, str]]:
    """Socket inode -> (type, name) of what listens on the port, or on any."""
    found = {}
    for table, kind in (("/proc/net/tcp", "IPv4"), ("/proc/net/tcp6", "IPv6")):
        try:
            with open(table) as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        for row in rows:
            host, _, number = row[1].rpartition(":")
            if row[3] == LISTEN and port in (None, int(number, 16)):
                found[row[9]] = (kind, f"{address(host)}:{int(number, 16)}")
    return found


def holders(inodes: dict[str, tuple[str, str]]) -> list[tuple[int, str, str]]:
    """(pid, descriptor, inode) of every process that holds one of the sockets."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            descriptors = os.listdir(f"/proc/{entry}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"/proc/{entry}/fd/{descriptor}")
            except OSError:
                continue
            match = re.fullmatch(r"socket:\[(\d+)\]", target)
            if match and match[1] in inodes:
                found.append((int(entry), descriptor, match[1]))
    return sorted(found)


def main(words: list[str]) -> int:
    """Print the rows; 1 when there is none, as lsof does."""
    port = next((int(m[1]) for w in words if (m := re.fullmatch(r"-i(?:4|6)?TCP(?:@[^:]*)?:(\d+)", w))), None)
    sockets = listeners(port)
    rows = holders(sockets)
    if not rows:
        return 1
    if any("t" in word[1:] for word in words if re.fullmatch(r"-[a-zA-Z]+", word)):
        print(*sorted({pid for pid, _, _ in rows}), sep="\n")
        return 0
    print(HEADER)
    for pid, descriptor, inode in rows:
        with open(f"/proc/{pid}/comm") as file:
            command = file.read().strip()[:9].replace(" ", "\\x20")
        user = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name
        kind, name = sockets[inode]
        print(f"{command:<9} {pid:>5} {user} {descriptor + 'u':>4}  {kind} {'0x' + format(int(inode), '016x'):>18}"
              f"      0t0  TCP {name} (LISTEN)")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
