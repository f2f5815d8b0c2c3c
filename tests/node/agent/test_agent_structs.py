"""Every struct that the agent reads, against Apple's published headers (apple.py), and against kernels that grew it."""

import ctypes
import struct

import pytest

from fleet.node.agent import libsystem
from fleet.node.agent.libsystem import grown
from fleet.node.agent.structs import (
    HOST_CPU_LOAD_INFO,
    RUSAGE_INFO_V0,
    TIMEVAL,
    VM_STATISTICS64,
    XSW_USAGE,
    Layout,
)
from tests.node.agent import apple
from tests.node.agent.apple import Declared

FORMATS = {"=I": ctypes.c_uint32, "=i": ctypes.c_int32, "=Q": ctypes.c_uint64, "=q": ctypes.c_int64}
READ = [
    (VM_STATISTICS64, apple.VM_STATISTICS64, 152),
    (HOST_CPU_LOAD_INFO, apple.HOST_CPU_LOAD_INFO, 16),
    (XSW_USAGE, apple.XSW_USAGE, 32),
    (TIMEVAL, apple.TIMEVAL, 16),
    (RUSAGE_INFO_V0, apple.RUSAGE_INFO_V0, 96),
]
GROWN = [
    (VM_STATISTICS64, apple.VM_STATISTICS64, apple.VM_STATISTICS64_REV2, 160),
    (VM_STATISTICS64, apple.VM_STATISTICS64, apple.VM_STATISTICS64_REV3, 248),
    (RUSAGE_INFO_V0, apple.RUSAGE_INFO_V0, apple.RUSAGE_INFO_V6, 464),
]


@pytest.mark.parametrize(("layout", "declared", "size"), READ, ids=lambda value: getattr(value, "name", None))
def test_every_field_lies_where_a_c_compiler_puts_it_in_apples_header(layout: Layout, declared: Declared, size: int):
    compiled = declared.compiled
    assert ctypes.sizeof(compiled) == size, declared.source
    for name, (offset, kind) in layout.fields.items():
        field = getattr(compiled, name)
        assert (offset, struct.calcsize(kind)) == (field.offset, field.size), f"{name} of {declared.source}"
        assert FORMATS[kind] is dict(compiled._fields_)[name], f"{name} of {declared.source}"


def test_every_layout_is_checked():
    """One that is added without a declaration of Apple's fails here."""
    from fleet.node.agent import structs

    known = {name for name, value in vars(structs).items() if isinstance(value, Layout)}
    checked = {name for name, value in vars(structs).items() if any(value is layout for layout, _, _ in READ)}
    assert known == checked


@pytest.mark.parametrize(("layout", "known", "newer", "size"), GROWN, ids=lambda value: getattr(value, "name", None))
def test_a_struct_as_newer_systems_have_it_reads_as_before(layout, known: Declared, newer: Declared, size: int):
    """Fields were only ever appended: every one that is read lies where it lay."""
    assert newer.names[: len(known.names)] == known.names
    full = newer.compiled()
    assert ctypes.sizeof(full) == size, newer.source
    for number, name in enumerate(newer.names, 1):
        if name not in ("ri_uuid", "ri_reserved"):
            setattr(full, name, number)
    assert layout.read(bytes(full)) == {name: newer.names.index(name) + 1 for name in layout.fields}


@pytest.mark.parametrize(("layout", "declared", "size"), READ, ids=lambda value: getattr(value, "name", None))
def test_a_struct_cut_at_any_byte_knows_exactly_the_fields_that_are_whole(
    layout: Layout, declared: Declared, size: int
):
    compiled = declared.compiled
    for length in range(size + 1):
        whole = {
            name for name in layout.fields if getattr(compiled, name).offset + getattr(compiled, name).size <= length
        }
        assert {name for name, value in layout.read(b"\1" * length).items() if value is not None} == whole


def answering(words: int, declared: Declared, *, room_of_the_stub: int):
    """host_statistics64 of a kernel whose struct is `declared`, seen through a stub of `room_of_the_stub` words.

    As the generated stub does: what fits is copied, the count is the kernel's (osfmk/mach/mach_types.defs:439, 446).
    """
    image = bytes(index % 251 for index in range(ctypes.sizeof(declared.compiled)))

    def call(buffer, count_pointer):
        count = ctypes.cast(count_pointer, ctypes.POINTER(ctypes.c_uint32))
        given = min(count[0], room_of_the_stub)
        if given < words:
            return 5  # KERN_FAILURE: less than the oldest form
        forms = [len(image) // 4 if given * 4 >= len(image) else words]
        ctypes.memmove(buffer, image, forms[0] * 4)
        count[0] = forms[0]
        return 0

    return call, image


@pytest.mark.parametrize("declared", [apple.VM_STATISTICS64, apple.VM_STATISTICS64_REV2, apple.VM_STATISTICS64_REV3])
def test_the_call_brings_the_whole_struct_of_any_kernel(declared: Declared):
    oldest = ctypes.sizeof(apple.VM_STATISTICS64_REV0.compiled) // 4
    call, image = answering(oldest, declared, room_of_the_stub=256)
    assert grown(call) == image


def test_a_kernel_that_gives_less_than_it_could_is_believed():
    oldest = ctypes.sizeof(apple.VM_STATISTICS64_REV0.compiled)
    call, image = answering(oldest // 4, apple.VM_STATISTICS64, room_of_the_stub=oldest // 4)
    read = VM_STATISTICS64.read(grown(call))
    assert grown(call) == image[:oldest]
    assert [name for name in ("decompressions", "swapouts", "internal_page_count") if read[name] is not None] == []
    assert read["speculative_count"] is not None


def test_the_first_form_ends_fourteen_words_before_the_second():
    """HOST_VM_INFO64_REV0_COUNT = HOST_VM_INFO64_REV1_COUNT - 14, osfmk/mach/host_info.h:250-252."""
    first, second = (ctypes.sizeof(form.compiled) // 4 for form in (apple.VM_STATISTICS64_REV0, apple.VM_STATISTICS64))
    assert (first, second) == (24, 38)


def test_the_numbers_of_the_calls_are_apples():
    assert libsystem._HOST_CPU_LOAD_INFO == 3  # osfmk/mach/host_info.h:193
    assert libsystem._HOST_VM_INFO64 == 4  # osfmk/mach/host_info.h:196
    assert libsystem._RUSAGE_INFO_V0 == 0  # bsd/sys/resource.h:192
    assert libsystem._MIG_ARRAY_TOO_LARGE == -307  # osfmk/mach/mig_errors.h:89
    assert libsystem._FIRST_ROOM_WORDS == 256, "host_info64_t, the most that the call can carry: mach_types.defs:446"


def test_the_room_for_a_process_is_larger_than_the_largest_struct_of_its_call():
    assert ctypes.sizeof(apple.RUSAGE_INFO_V6.compiled) * 2 < libsystem._PROCESS_ROOM_BYTES
