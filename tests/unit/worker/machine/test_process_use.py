"""What a real process and its children use."""

import os
import subprocess
import sys

import worker.machine.process_use
from worker.machine.process_use import available_cores, process_use

BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"
# Computes in a child, holds 64 MiB in it, and writes 8 MiB to the disk.
PROGRAM = f"""
import os, subprocess, sys
with open(sys.argv[1], "wb") as file:
    file.write(os.urandom(8 * 1024**2))
    os.fsync(file.fileno())
{BUSY}
child = {BUSY + "held = bytearray(b'x' * 64 * 1024**2); print(flush=True); input()"!r}
subprocess.run([sys.executable, "-c", child])
"""


def test_it_counts_the_processor_the_memory_and_the_disk_of_the_process_and_its_children(tmp_path):
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path / "file")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        use = process_use(process.pid)
        process.communicate(b"\n")
    assert 0.6 <= use.cpu_seconds < 10
    assert 64 * 1024**2 < use.memory_bytes < 150 * 1024**2
    assert use.written_bytes is None or use.written_bytes >= (0 if on_no_disk(tmp_path) else 8 * 1024**2)


def on_no_disk(path):
    """Whether the path is on none of the known disk filesystems."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=False).stdout
    return kind.strip() not in {"ext2/ext3", "xfs", "btrfs"}


def test_time_of_a_child_stays_counted_after_its_end():
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert process_use(process.pid).cpu_seconds >= 0.25
        process.communicate(b"\n")


def test_a_process_that_has_ended_has_none():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert process_use(process.pid) is None


def test_what_only_its_user_may_see_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(worker.machine.process_use, "_PROC", str(tmp_path))
    (tmp_path / "5/task/5").mkdir(parents=True)
    (tmp_path / "5/stat").write_text("5 (a) b) S " + " ".join(str(number) for number in range(1, 45)))
    (tmp_path / "5/status").write_text("Name:\ta\nRssAnon:\t  12 kB\n")
    use = process_use(5)
    assert (use.memory_bytes, use.read_bytes, use.written_bytes) == (12 * 1024, None, None)
    assert use.cpu_seconds == (11 + 12 + 13 + 14) / os.sysconf("SC_CLK_TCK")


def test_a_look_stays_short_however_many_processes_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(worker.machine.process_use, "_PROC", str(tmp_path))
    for pid in range(1, 601):
        (tmp_path / f"{pid}/task/{pid}").mkdir(parents=True)
        (tmp_path / f"{pid}/stat").write_text("1 (a) S " + "0 " * 40)
        (tmp_path / f"{pid}/status").write_text("RssAnon:\t1 kB\n")
        (tmp_path / f"{pid}/task/{pid}/children").write_text(f"{pid + 1} ")
    assert process_use(1).memory_bytes == 256 * 1024


def test_a_containers_part_of_the_time_counts_as_cores(monkeypatch):
    available_cores.cache_clear()
    content = {"/sys/fs/cgroup/cpu.max": b"50000 100000\n"}
    monkeypatch.setattr(worker.machine.process_use, "_read", lambda path: content.get(path, b""))
    try:
        assert available_cores() == 0.5
        available_cores.cache_clear()
        content["/sys/fs/cgroup/cpu.max"] = b"max 100000\n"
        assert available_cores() == len(os.sched_getaffinity(0))
    finally:
        available_cores.cache_clear()
