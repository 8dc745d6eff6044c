"""Whether the kernel has killed for want of memory: a SIGKILL alone does not say who sent it."""

from pathlib import Path

_VMSTAT = Path("/proc/vmstat")
_CGROUP_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed so, here and in this container, since the machine started."""
    return sum(_count(path) for path in (_VMSTAT, *_CGROUP_EVENTS))


def _count(path: Path) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    pairs = (line.split() for line in lines)
    return sum(int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == "oom_kill" and pair[1].isdecimal())
