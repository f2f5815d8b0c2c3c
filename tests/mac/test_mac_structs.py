"""The struct layouts of the agent, as this Mac's own compiler lays out this Mac's own headers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.node.agent.structs import (
    HOST_CPU_LOAD_INFO,
    RUSAGE_INFO_V0,
    TIMEVAL,
    VM_STATISTICS64,
    XSW_USAGE,
    Layout,
)

LAYOUTS = {
    "struct vm_statistics64": ("mach/vm_statistics.h", VM_STATISTICS64),
    "struct host_cpu_load_info": ("mach/host_info.h", HOST_CPU_LOAD_INFO),
    "struct xsw_usage": ("sys/sysctl.h", XSW_USAGE),
    "struct timeval": ("sys/time.h", TIMEVAL),
    "struct rusage_info_v0": ("sys/resource.h", RUSAGE_INFO_V0),
}
MEMBERS = {name: f"cpu_ticks[CPU_STATE_{name.upper()}]" for name in ("user", "system", "idle", "nice")}
"""What is an array in C."""


def program(struct: str, header: str, layout: Layout) -> str:
    """Prints `name offset size` for every field that the agent reads."""
    lines = (
        f'printf("{name} %zu %zu\\n", offsetof({struct}, {member}), sizeof((({struct} *)0)->{member}));'
        for name, member in ((name, MEMBERS.get(name, name)) for name in layout.fields)
    )
    includes = "".join(f"#include <{name}>\n" for name in ("stddef.h", "stdio.h", "sys/types.h", header))
    machine = "#include <mach/machine.h>\n" if header.startswith("mach/") else ""
    return f"{includes}{machine}int main(void) {{ {' '.join(lines)} return 0; }}\n"


@pytest.mark.parametrize("struct", sorted(LAYOUTS))
def test_the_compiler_puts_every_field_where_the_agent_reads_it(struct: str, tmp_path: Path):
    if (
        shutil.which("cc") is None
        or subprocess.run(["xcode-select", "-p"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no compiler here: xcode-select --install")
    header, layout = LAYOUTS[struct]
    source, built = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text(program(struct, header, layout))
    subprocess.run(["cc", "-o", str(built), str(source)], check=True)
    printed = subprocess.run([str(built)], capture_output=True, text=True, check=True).stdout.splitlines()
    sizes = {"=I": 4, "=i": 4, "=Q": 8, "=q": 8}
    found = {name: (int(offset), int(size)) for name, offset, size in map(str.split, printed)}
    assert found == {name: (offset, sizes[kind]) for name, (offset, kind) in layout.fields.items()}
