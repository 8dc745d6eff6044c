"""A filter of system calls (seccomp(2)), for what Landlock does not restrict.

libseccomp's bindings need a shared library, or have no wheels for all supported Pythons and machines, and the
pure-Python packages are months old. So the filter is assembled here from a table: it refuses a system call always, or
for some arguments.
"""

import ctypes
import errno
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from worker.training.program.kernel import MACHINE, NotGiven, call
from worker.training.program.syscalls import NUMBERS

# For each machine: its number in the filter, the number of seccomp(2), and its column in the table.
_MACHINES = {"x86_64": (0xC000003E, 317, 0), "aarch64": (0xC00000B7, 277, 1)}
_FILTER_OF_ALL_THREADS = (1, 1)

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_KILL, _REFUSE, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_MACHINE_AT, _NUMBER_AT, _ARGUMENTS_AT = 4, 0, 16
_ALL_BITS = 0xFFFF_FFFF

# The newest system call when this table was written (Linux 6.17). Later ones get the error "not implemented".
_NEWEST = 469

_ALWAYS_REFUSED = (
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig"),
    *(
        "fsmount",
        "fspick",
        "mount_setattr",
        "open_tree_attr",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "kcmp",
    ),
    *("pidfd_getfd", "process_madvise", "process_mrelease", "migrate_pages", "setsid", "setpgid", "keyctl", "add_key"),
    *("request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff"),
    *("acct", "quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime"),
    *("sethostname", "setdomainname", "vhangup", "iopl", "ioperm", "modify_ldt", "lookup_dcookie", "file_setattr"),
    *("name_to_handle_at", "open_by_handle_at", "fanotify_init", "fanotify_mark", "inotify_init", "inotify_init1"),
    *("inotify_add_watch", "symlink", "symlinkat", "mknod", "mknodat", "shmget", "shmat", "shmctl", "msgget", "msgsnd"),
    *("msgrcv", "msgctl", "semget", "semop", "semctl", "semtimedop", "mq_open", "mq_unlink"),
)
# Landlock does not check them. Copying a file calls one at its end, so an error would stop harmless programs.
_ATTRIBUTES = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes"),
    *("futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("setxattrat", "removexattrat"),
)
_BY_PROCESS = ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr", "move_pages")
_NEW_NAMESPACES = 0x7E02_0000
_PR_SET_PDEATHSIG = 1
_PUSH_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: write to the input of another terminal
_SET_OWNER_BY_IOCTL = (0x8901, 0x8902)  # FIOSETOWN, SIOCSPGRP: make the kernel send SIGIO to a process
_SET_OWNER = (8, 15)  # F_SETOWN, F_SETOWN_EX
_SOCKET_TYPE = 0xF

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True)
class Test:
    """Whether some bits of the lower half of an argument have a value."""

    argument: int
    value: int
    bits: int = _ALL_BITS


Case = tuple[Test, ...]


@dataclass(frozen=True)
class Rule:
    """Refuses a system call: always, only in the cases of `when`, or except in the cases of `but`.

    A case applies if all of its tests are true. With an `error` of 0, the call does nothing and succeeds.
    """

    error: int = errno.EPERM
    when: tuple[Case, ...] = ()
    but: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Need:
    """What the program may do, and what the filter must restrict because no other layer does.

    `network`: the program may use the network. `signals`: no other layer blocks signals to other processes.
    `attributes`: files of others have the same owner as the program. `truncation`: Landlock does not restrict it.
    """

    network: bool
    signals: bool
    attributes: bool
    truncation: bool


def rules(need: Need) -> dict[str, Rule]:
    """The rule of each system call that has one."""
    own = os.getpid()
    return {
        **dict.fromkeys(_ALWAYS_REFUSED, Rule()),
        "clone3": Rule(errno.ENOSYS),  # its flags cannot be seen; the C library then uses clone
        "clone": Rule(but=((Test(0, 0, _NEW_NAMESPACES),),)),
        "prctl": Rule(when=_any_of(0, _PR_SET_PDEATHSIG)),
        "ioctl": Rule(when=_any_of(1, *_PUSH_INPUT)),
        **dict.fromkeys(_BY_PROCESS, Rule(but=_any_of(0, 0, own))),
        "setpriority": Rule(but=tuple((Test(0, 0), Test(1, process)) for process in (0, own))),
        "ioprio_set": Rule(but=tuple((Test(0, 1), Test(1, process)) for process in (0, own))),
        **_socket_rules(network=need.network),
        **(_signal_rules(own) if need.signals else {}),
        **(dict.fromkeys(_ATTRIBUTES, Rule(0)) if need.attributes else {}),
        **(_truncation_rules() if need.truncation else {}),
    }


def _any_of(argument: int, *values: int) -> tuple[Case, ...]:
    return tuple((Test(argument, value),) for value in values)


def _socket_rules(*, network: bool) -> dict[str, Rule]:
    """Allow socket pairs, which reach nothing outside, and SEQPACKET sockets, which CUDA needs.

    Sockets that a program must not reach, such as Docker's, D-Bus's and the fork server's, are stream sockets.
    """
    local = ((Test(0, socket.AF_UNIX), Test(1, socket.SOCK_SEQPACKET, _SOCKET_TYPE)),)
    internet = tuple(
        (Test(0, family), Test(1, kind, _SOCKET_TYPE))
        for family in (socket.AF_INET, socket.AF_INET6)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    )
    # The C library uses it to find out which kinds of addresses this machine has.
    routes = ((Test(0, socket.AF_NETLINK), Test(2, 0)),)
    return {
        "socket": Rule(errno.EACCES, but=(*local, *internet, *routes) if network else local),
        "socketpair": Rule(errno.EACCES, but=_any_of(0, socket.AF_UNIX)),
    }


def _signal_rules(own: int) -> dict[str, Rule]:
    """Allow signals only to this process, which leads its group, and to that group."""
    return {
        **dict.fromkeys(("tkill", "pidfd_send_signal"), Rule()),
        **dict.fromkeys(("tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"), Rule(but=_any_of(0, own))),
        "kill": Rule(but=_any_of(0, 0, own)),
        "ioctl": Rule(when=_any_of(1, *_PUSH_INPUT, *_SET_OWNER_BY_IOCTL)),
        "fcntl": Rule(when=_any_of(1, *_SET_OWNER)),
    }


def _truncation_rules() -> dict[str, Rule]:
    """Prevent a program from emptying a file that it may not write, by its name or by opening it."""
    return {
        "truncate": Rule(),
        "openat2": Rule(errno.ENOSYS),
        "open": _writes_what_it_empties(1),
        "openat": _writes_what_it_empties(2),
    }


def _writes_what_it_empties(flags: int) -> Rule:
    modes = (Test(flags, mode, os.O_ACCMODE) for mode in (os.O_WRONLY, os.O_RDWR))
    return Rule(but=((Test(flags, 0, os.O_TRUNC),), *((mode,) for mode in modes)))


def assemble(rules_by_name: Mapping[str, Rule], machine: str) -> list[Instruction]:
    """The filter as BPF instructions: code, jump if true, jump if false, value.

    A system call without a rule is allowed if it existed when this table was written. A system call for another machine
    type, which has other numbers, ends the process.
    """
    architecture, _, column = _MACHINES[machine]
    code = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_AT_LEAST, 0, 1, _NEWEST + 1),  # and those of x32, whose numbers are above 2**30
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
    ]
    for name, rule in rules_by_name.items():
        number = NUMBERS[name][column]
        if number is not None:
            block = _block(rule)
            code += [(_IF_EQUAL, 0, len(block), number), *block]
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _block(rule: Rule) -> list[Instruction]:
    refuse = (_RETURN, 0, 0, _REFUSE | rule.error)
    allow = (_RETURN, 0, 0, _ALLOW)
    in_case, otherwise = (refuse, allow) if rule.when else (allow, refuse)
    return [*(one for case in rule.when or rule.but for one in _case(case, in_case)), otherwise]


def _case(tests: Iterable[Test], result: Instruction) -> list[Instruction]:
    """Instructions that return `result` if all tests are true, and continue otherwise."""
    code = [result]
    for test in reversed(tuple(tests)):
        code = [
            (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * test.argument),
            (_AND, 0, 0, test.bits),
            (_IF_EQUAL, 0, len(code), test.value),
            *code,
        ]
    return code


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("code", ctypes.POINTER(_Instruction)))


def enforce(need: Need) -> None:
    """Filter the system calls of all threads of this process and its children, permanently. Needs no_new_privs.

    Raises NotGiven if the kernel or the machine does not support such filters.
    """
    if MACHINE not in _MACHINES:
        raise NotGiven(f"the filter supports x86-64 and aarch64, but this machine is {MACHINE or 'no Linux'}")
    code = assemble(rules(need), MACHINE)
    program = _Program(len(code), (_Instruction * len(code))(*(_Instruction(*one) for one in code)))
    try:
        call(_MACHINES[MACHINE][1], *_FILTER_OF_ALL_THREADS, ctypes.byref(program))
    except OSError as error:
        raise NotGiven(f"the kernel accepts no filter of system calls ({error.strerror})") from error
