"""Each way in which a child can end has its own code and its own rule."""

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

import worker.machine.memory
from shared.events import Event, EventWriter
from shared.job import AttemptEnd, Conclusion, Ending, JobError
from shared.job_folder import AttemptFolder, JobFolder
from shared.settings import Settings
from shared.storage import StorageCode
from shared.times import parse_time, seconds_until
from shared.volume import Volume
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from worker.ipc import pulse
from worker.ipc.exit_statuses import STATUS_OF_STORAGE, SUPERSEDED
from worker.machine.memory import held_bytes, memory_bytes, out_of_memory_kills, training_limit
from worker.supervisor.outcome import MOST_BACKOFF_SECONDS, Exit, decide
from worker.training.errors import BadData, Diverged, describe_failure

SETTINGS = Settings(max_failures=5)


@pytest.fixture
def job(volume: Volume) -> JobFolder:
    put_dataset(volume, learnable_frame(40))
    return put_job(volume, small_spec())


def with_data(job: JobFolder, number: int = 1) -> AttemptFolder:
    """Claim an attempt whose data was ready before its child ended."""
    attempt = claim(job, number)
    with EventWriter(attempt.events_file) as events:
        events.write([Event("data", "192 rows to train on", {})])
    return attempt


def ended(attempt: AttemptFolder, child: Exit) -> AttemptEnd:
    end = decide(attempt, child, SETTINGS)
    attempt.close(end)
    return end


@pytest.mark.parametrize(
    ("child", "code"),
    [
        (Exit(0), "no_conclusion"),
        (Exit(1), "no_conclusion"),
        (Exit(-signal.SIGKILL, out_of_memory_kills=1), "out_of_memory_host"),
        (Exit(-signal.SIGKILL, "memory"), "out_of_memory_host"),
        (Exit(-signal.SIGSEGV), "crash"),
        (Exit(-signal.SIGBUS), "crash"),
        (Exit(-signal.SIGABRT), "crash"),
        (Exit(-signal.SIGABRT, "hang"), "hang"),
        (Exit(-signal.SIGKILL, "hang"), "hang"),
    ],
)
def test_a_child_that_ends_without_a_word_is_retried_under_its_own_code(job: JobFolder, child: Exit, code: str) -> None:
    end = ended(with_data(job), child)
    assert end.error is not None
    assert (end.error.code, end.outcome, end.is_failure, end.ending) == (code, "failed", True, None)
    assert end.retry_at is not None


@pytest.mark.parametrize(
    "child", [Exit(-signal.SIGKILL), Exit(-signal.SIGKILL, "cancel", out_of_memory_kills=1), Exit(SUPERSEDED)]
)
def test_a_child_that_was_killed_is_lost_and_no_failure(job: JobFolder, child: Exit) -> None:
    end = ended(claim(job), child)
    assert end.error is not None
    assert (end.error.code, end.outcome, end.is_failure, end.ending) == ("killed", "lost", False, None)


@pytest.mark.parametrize("code", ["volume_full", "volume_error", "worker_disk_full", "worker_disk_error"])
def test_storage_that_fails_hands_the_job_back_and_counts_nothing(job: JobFolder, code: StorageCode) -> None:
    for number in range(1, 7):
        end = ended(claim(job, number), Exit(STATUS_OF_STORAGE[code]))
        assert end.error is not None
        assert (end.error.code, end.outcome, end.is_failure, end.ending) == (code, "handed_back", False, None)


def test_a_job_that_is_handed_back_again_and_again_rests_longer_each_time_up_to_half_a_minute(job: JobFolder) -> None:
    settings = Settings(retry_backoff_seconds=4)
    rests = []
    for number in range(1, 6):
        attempt = claim(job, number)
        end = decide(attempt, Exit(STATUS_OF_STORAGE["volume_full"]), settings)
        attempt.close(end)
        assert end.retry_at is not None
        rests.append(seconds_until(end.retry_at))
    assert rests == pytest.approx([4, 8, 16, 30, 30], abs=1)


def test_out_of_memory_at_the_same_place_twice_is_final_and_at_another_place_is_not(job: JobFolder) -> None:
    def shortage(place: str) -> Exit:
        return Exit(-signal.SIGKILL, place=place, out_of_memory_kills=1)

    assert ended(with_data(job, 1), shortage("0:3")).ending is None
    assert ended(with_data(job, 2), shortage("4:0")).ending is None
    last = ended(with_data(job, 3), shortage("4:0"))
    assert last.ending is not None
    assert last.ending.error is not None
    assert (last.ending.status, last.ending.error.code) == ("failed", "out_of_memory_host")


def test_data_larger_than_memory_is_told_with_its_sizes_and_left_to_a_larger_worker_for_a_while(job: JobFolder) -> None:
    killed = Exit(-signal.SIGKILL, place="0:0", out_of_memory_kills=1)
    ends = [ended(claim(job, number), killed) for number in range(1, SETTINGS.max_failures + 1)]
    for end in ends:
        assert end.error is not None
        assert end.error.code == "data_larger_than_memory"
        assert "40 rows of 4 features of 4 bytes" in end.error.message
        assert f"{(memory_bytes() or 0) / 1024**3:.2f} GiB" in end.error.message
        assert "batch_size" not in end.error.message
    for end in ends[:-1]:
        assert end.ending is None, "never final for being the same shortage at the same place"
        assert end.retry_at is not None
        waits = parse_time(end.retry_at) - parse_time(end.ended_at)
        assert waits.total_seconds() == pytest.approx(MOST_BACKOFF_SECONDS, abs=1)
    assert ends[-1].ending is not None


def test_the_childs_own_word_on_a_shortage_counts_with_its_place(job: JobFolder) -> None:
    error = JobError(code="out_of_memory_gpu", message="too large")
    for number, is_last in ((1, False), (2, True)):
        attempt = claim(job, number)
        ending = Ending(status="failed", error=error)
        attempt.conclude(Conclusion(ending=ending, may_retry=True, place="0:0"))
        assert (ended(attempt, Exit(0)).ending is not None) == is_last


@pytest.mark.parametrize(
    ("error", "code", "may_retry"),
    [
        (MemoryError(), "out_of_memory_host", True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM on /device:GPU:0"), "out_of_memory_gpu", True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM on /device:CPU:0"), "out_of_memory_host", True),
        (tf.errors.ResourceExhaustedError(None, None, "/tmp/a; No space left on device"), "worker_disk_full", True),
        (OSError(errno.ENOSPC, "No space left on device", "/volume/jobs/a"), "volume_full", True),
        (OSError(errno.EIO, "Input/output error", "/volume/jobs/a"), "volume_error", True),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/a"), "worker_disk_full", True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory_host", True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "training_error", True),
        (ModuleNotFoundError("No module named 'skops'"), "no_child", True),
        (BadData("no rows"), "bad_data", False),
        (Diverged("nan"), "diverged", False),
        (RuntimeError("a\nb"), "training_error", False),
    ],
)
def test_foreign_errors_become_a_code_and_a_rule(error: Exception, code: str, may_retry: bool) -> None:
    told, again = describe_failure(error, Path("/volume"))
    assert (told.code, again) == (code, may_retry)
    assert "\n" not in told.message


def test_the_memory_of_a_process_counts_what_it_has_started_and_no_mapped_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(64 * 1024**2))
    grandchild = "import sys; held = bytearray(b'x' * 64 * 1024**2); print(flush=True); sys.stdin.read()"
    program = f"""
import mmap, subprocess, sys, threading
file = open({str(tmp_path / "file")!r}, "rb")
mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
assert len(bytes(mapped[::4096])) == 16384
threading.Thread(target=subprocess.run, args=([sys.executable, "-c", {grandchild!r}],)).start()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert 64 * 1024**2 < held_bytes(process.pid) < 110 * 1024**2
        process.communicate()
    assert held_bytes(process.pid) == 0


def test_the_memory_of_a_long_chain_of_processes_is_all_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.machine.process_use, "_PROC", str(tmp_path))
    for pid in range(1, 1501):
        (tmp_path / f"{pid}/task/{pid}").mkdir(parents=True)
        (tmp_path / f"{pid}/status").write_text("RssAnon:\t1 kB\n")
        (tmp_path / f"{pid}/task/{pid}/children").write_text(f"{pid + 1} ")
    assert held_bytes(1) == 1500 * 1024


def test_the_limit_of_a_training_process_is_the_settings_or_a_part_of_the_machines_memory() -> None:
    assert training_limit(5) == 5
    assert training_limit(0) == int((memory_bytes() or 0) * 0.9)


def test_the_kernels_count_of_memory_kills_is_read() -> None:
    assert out_of_memory_kills() >= 0


def test_the_memory_of_a_container_is_its_limit_where_that_is_below_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(worker.machine.memory, "_MEMINFO", machine)
    monkeypatch.setattr(worker.machine.memory, "_CGROUP_LIMITS", (limit, tmp_path / "none"))
    measure = memory_bytes.__wrapped__
    assert measure() is None
    machine.write_text("MemFree: 5 kB\nMemTotal:        2048 kB\n")
    limit.write_text("max\n")
    assert measure() == 2048 * 1024
    limit.write_text("4096\n")
    assert measure() == 4096


def test_pulses_reach_the_worker_and_the_last_one_counts() -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with receiver, sender:
        assert pulse.newest(receiver) is None
        pulse.send_to(sender)
        pulse.send(pulse.Pulse(60, "0:1"))
        pulse.send(pulse.Pulse(61, "0:2"))
        assert pulse.newest(receiver) == pulse.Pulse(61, "0:2")
        assert pulse.newest(receiver) is None
    pulse.send(pulse.Pulse(62, "0:3"))


def test_a_worker_hears_that_a_child_has_hung_up_after_its_last_pulse() -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with receiver:
        with sender:
            os.write(sender.fileno(), b"60 0:1\n")
        assert pulse.newest(receiver) == pulse.Pulse(60, "0:1")
        with pytest.raises(EOFError):
            pulse.newest(receiver)


@pytest.mark.parametrize(
    "said",
    [
        pickle.dumps((60, "0:1")),
        b"\x7f\xff\xff\xff",
        b"60",
        b"nan 0:1\n",
        b"1e999 0:1\n",
        b"1e+9e 0:1\n",
        b"60 ../../x\n",
        b"\n",
    ],
)
def test_what_is_no_pulse_is_ignored_without_a_wait(said: bytes) -> None:
    receiver, sender = multiprocessing.Pipe()
    with receiver, sender:
        os.write(sender.fileno(), said)
        assert pulse.newest(receiver) is None
        os.write(sender.fileno(), b"\n61.5 3:4\n")
        assert pulse.newest(receiver) == pulse.Pulse(61.5, "3:4")


@pytest.mark.parametrize(("child", "how"), [
    (Exit(1, has_begun=False), "ended with status 1"),
    (Exit(-signal.SIGABRT, "hang", has_begun=False), "did not start in time"),
])  # fmt: skip
def test_a_child_that_never_began_is_its_workers_fault_and_counts_nothing(
    job: JobFolder, child: Exit, how: str
) -> None:
    for number in range(1, 7):
        end = ended(claim(job, number), child)
        assert end.error is not None
        assert (end.error.code, end.outcome, end.is_failure, end.ending) == ("no_child", "handed_back", False, None)
        assert how in end.error.message


def test_a_child_that_never_began_since_the_volume_is_full_is_not_its_workers_fault(job: JobFolder) -> None:
    end = ended(claim(job, 1), Exit(STATUS_OF_STORAGE["volume_full"], has_begun=False))
    assert end.error is not None
    assert end.error.code == "volume_full"
