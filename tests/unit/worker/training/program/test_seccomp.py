"""The filter of system calls: its numbers, and what its instructions decide."""

import errno
import re
import struct
from pathlib import Path

import pytest

from worker.training.program import seccomp

X86_64 = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GENERIC = Path("/usr/include/asm-generic/unistd.h")
NEED = seccomp.Need(network=False, signals=True, attributes=True, truncation=True)


@pytest.mark.parametrize(("header", "column"), [(X86_64, 0), (GENERIC, 1)])
def test_its_numbers_are_those_of_the_kernel(header: Path, column: int) -> None:
    if not header.exists():
        pytest.skip(f"no {header}")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    numbers = {name: int(number) for name, number in defined}
    ours = {name: pair[column] for name, pair in seccomp.NUMBERS.items() if name in numbers}
    assert len(ours) > 80
    assert ours == {name: numbers[name] for name in ours}


def decide(machine: str, name: str, *arguments: int) -> int:
    """Return what the filter's instructions decide on a system call, interpreted as by the kernel."""
    architecture, _, column = seccomp._MACHINES[machine]
    number = seccomp.NUMBERS[name][column] if name in seccomp.NUMBERS else int(name)
    values = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(value % 2**64 for value in values))
    code = seccomp.assemble(seccomp.rules(NEED), machine)
    at, register = 0, 0
    while True:
        kind, if_true, if_false, value = code[at]
        at += 1
        if kind == seccomp._LOAD:
            register = struct.unpack_from("<I", data, value)[0]
        elif kind == seccomp._AND:
            register &= value
        elif kind == seccomp._RETURN:
            return value
        else:
            holds = register == value if kind == seccomp._IF_EQUAL else register >= value
            at += if_true if holds else if_false


ALLOWED, DENIED, SILENT = 0x7FFF_0000, 0x0005_0000 | errno.EPERM, 0x0005_0000


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_its_decisions(machine: str) -> None:
    assert decide(machine, "ptrace") == DENIED
    assert decide(machine, "fchownat") == SILENT
    assert decide(machine, "clone", 0x0100_0000) == ALLOWED
    assert decide(machine, "clone", 0x1000_0000) == DENIED
    assert decide(machine, "ioctl", 3, 0x5412) == DENIED
    assert decide(machine, "ioctl", 3, 0x5401) == ALLOWED
    # The kernel reads only the lower half of the argument.
    assert decide(machine, "ioctl", 3, 0x5412 + 2**40) == DENIED
    assert decide(machine, "setpriority", 2, 0) == DENIED
    assert decide(machine, "openat", -100, 0, 0o1000) == DENIED
    assert decide(machine, "openat", -100, 0, 0o1001) == ALLOWED
    assert decide(machine, "0") == ALLOWED
    assert decide(machine, "500") == 0x0005_0000 | errno.ENOSYS
    assert decide(machine, str(0x4000_0000)) == 0x0005_0000 | errno.ENOSYS


def test_no_jump_is_longer_than_the_kernel_takes() -> None:
    code = seccomp.assemble(seccomp.rules(NEED), "x86_64")
    assert all(one < 256 for _, if_true, if_false, _ in code for one in (if_true, if_false))
    assert len(code) < 4096
