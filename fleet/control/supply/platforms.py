"""Which machines a pack that was built here serves."""

from __future__ import annotations

import platform as here
import sys


def machine_of(platform: str) -> list[str]:
    """What of this machine a build for `platform` depends on: nothing for Macs, everything for `this-machine`."""
    return [sys.platform, here.machine(), *here.libc_ver()] if platform == "this-machine" else []
