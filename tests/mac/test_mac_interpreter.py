"""The interpreter that runs this suite is fit to run on nodes."""

import ctypes
import platform
import resource
import socket
import ssl
import sys

from fleet.vocabulary.macos.sysctl import parse_sysctl


def test_it_is_native_and_not_translated(run):
    values = parse_sysctl(run("/usr/sbin/sysctl", "-i", "hw.optional.arm64", "sysctl.proc_translated"))
    if values.get("hw.optional.arm64") == "1":
        assert platform.machine() == "arm64"
    assert values.get("sysctl.proc_translated", "0") == "0"


def test_it_is_not_apples_stub():
    assert not sys.executable.startswith("/usr/bin/")
    assert sys.version_info >= (3, 11)


def test_it_can_load_what_the_node_needs():
    import msgspec

    assert msgspec.json.decode(b"1") == 1
    assert ctypes.CDLL("/usr/lib/libSystem.B.dylib")
    assert ssl.OPENSSL_VERSION


def test_loopback_is_one_address_and_the_limit_of_files_is_known():
    """macOS has 127.0.0.1 only, and 256 files unless the plist says more (FACTS section 6)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0
