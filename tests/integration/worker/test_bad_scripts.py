"""Scripts that misbehave or start processes, on a real worker: the job's end says what they did.

The next job is untouched.
"""

import multiprocessing
from collections.abc import Callable, Iterator

import pytest

from shared.events import Cursor, job_events
from shared.job import Ending
from shared.job_folder import JobFolder
from shared.output import printable, read_output
from shared.queue import JobQueue
from shared.volume import Volume
from tests.support.jobs import put_job, small_spec
from tests.support.redis import RedisServer
from tests.support.scripts import put_script_job
from tests.support.waiting import wait_for
from tests.support.worker_process import WorkerProcess, is_running

MODEL = """\
import os
import signal
import sys
import keras
import numpy as np
x = np.linspace(0, 1, 40).reshape(20, 2)
y = x.sum(1)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
"""
FIT = "model.fit(x, y, epochs=2, verbose=0)\n"
IGNORE_SIGNALS = """\
for number in range(1, signal.NSIG):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
"""
# The fork does what its parent does, and comes to the script's end before it.
FORK = f"""\
fork = os.fork()
{MODEL}{FIT}
if not fork:
    sys.exit(7)
print("the fork has ended with", os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]))
"""
CATCH_EVERYTHING = """\
while True:
    try:
        model.fit(x, y, epochs=100_000, verbose=0)
    except BaseException as error:
        print("caught", error)
"""


PROCESSES = """\
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import keras
import numpy as np

class Data(keras.utils.PyDataset):
    def __len__(self):
        return 4
    def __getitem__(self, number):
        x = np.random.default_rng(number).normal(size=(8, 2))
        return x, x.sum(1)

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(Data(workers=2, use_multiprocessing=True), epochs=3, verbose=0)
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, [-3, 4]), multiprocessing.get_start_method())
with ProcessPoolExecutor(2) as executor:
    print(list(executor.map(abs, [-5, 6])))
"""
# It prints for longer than a few looks at the size of its output take.
PRINT_WITHOUT_END = """\
import time
print("first")
for _ in range(40):
    print("x" * 500_000)
    time.sleep(0.05)
print("last")
"""


@pytest.fixture(scope="module")
def worker(
    shared_volume: Volume, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    limits = {"FITSTOP_MAX_FAILURES": "2", "FITSTOP_MAX_LOSSES": "2", "FITSTOP_STOP_GRACE_SECONDS": "2"}
    log = tmp_path_factory.mktemp("log") / "worker.log"
    process = WorkerProcess(shared_volume, shared_redis.url, log, FITSTOP_ALLOW_CODE="unboxed", **limits)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def post(
    worker: WorkerProcess, shared_volume: Volume, shared_job_queue: JobQueue
) -> Iterator[Callable[[str], JobFolder]]:
    """Post a script's job. After it, a job of the same worker must succeed."""

    def post_script(script: str) -> JobFolder:
        job = put_script_job(shared_volume, script)
        shared_job_queue.notify(job.id)
        return job

    yield post_script
    after = put_job(shared_volume, small_spec(hyperparameters={"epochs": 1}))
    shared_job_queue.notify(after.id)
    assert ending_of(after).status == "succeeded"
    assert worker.is_alive()


def ending_of(job: JobFolder) -> Ending:
    result = wait_for(job.result, 120)
    assert result is not None
    return result.ending


def output_of(job: JobFolder) -> str:
    pieces = read_output(job.attempts()[-1:], Cursor(), 1024**2)
    return printable(b"".join(piece.content for piece in pieces))


def count_events(job: JobFolder, kind: str) -> int:
    return sum(placed.event.type == kind for placed in job_events(job))


@pytest.mark.parametrize(
    ("script", "reason", "epochs"),
    [
        ("print('no model')\n", "script_ended", 0),
        (f"{MODEL}for _ in range(10):\n    model.fit(x, y, verbose=0)\n", "epochs_completed", 10),
        (f"{MODEL}import shutil\nshutil.rmtree(os.getcwd())\n{FIT}", "epochs_completed", 2),
        (f"{MODEL}{IGNORE_SIGNALS}{FIT}", "epochs_completed", 2),
    ],
    ids=["never calls fit", "calls fit often", "deletes its folder", "ignores signals"],
)
def test_a_script_that_is_only_strange_succeeds(
    post: Callable[[str], JobFolder], script: str, reason: str, epochs: int
) -> None:
    job = post(script)
    ending = ending_of(job)
    assert (ending.status, ending.stop.reason, ending.stop.last_epoch) == ("succeeded", reason, epochs)
    assert len(job.attempts()) == 1


def test_a_fork_of_a_script_trains_by_itself_and_reports_nothing(post: Callable[[str], JobFolder]) -> None:
    job = post(f"import os\n{FORK}")
    ending = ending_of(job)
    assert (ending.status, ending.stop.last_epoch) == ("succeeded", 2)
    assert "the fork has ended with 7" in output_of(job)
    assert [count_events(job, kind) for kind in ("program", "fit", "epoch")] == [1, 1, 2]


def test_a_script_that_leaves_a_fork_behind_takes_it_along(post: Callable[[str], JobFolder]) -> None:
    job = post(f"{MODEL}import time\nfork = os.fork()\nif not fork:\n    time.sleep(600)\nprint(fork)\n{FIT}")
    assert ending_of(job).status == "succeeded"
    fork = int(output_of(job))
    wait_for(lambda: not is_running(fork), 30)


def test_processes_of_a_script_start_and_end_as_in_plain_python(post: Callable[[str], JobFolder]) -> None:
    job = post(PROCESSES)
    ending = ending_of(job)
    assert (ending.status, ending.stop.last_epoch) == ("succeeded", 3)
    expected = multiprocessing.get_context().get_start_method()
    assert output_of(job) == f"[3, 4] {expected}\n[5, 6]\n"


@pytest.mark.parametrize(
    "script",
    [f"{MODEL}{CATCH_EVERYTHING}", f"{MODEL}{IGNORE_SIGNALS}{FIT}while True:\n    pass\n"],
    ids=["catches every exception", "ignores signals"],
)
def test_a_script_that_will_not_stop_is_cancelled(post: Callable[[str], JobFolder], script: str) -> None:
    job = post(script)
    wait_for(lambda: count_events(job, "epoch") >= 2, 60)
    job.request_cancel()
    assert ending_of(job).status == "cancelled"


@pytest.mark.parametrize(
    ("last_line", "code", "words"),
    [
        ("os._exit(0)", "no_conclusion", "ended with status 0 and without a conclusion"),
        ("os.kill(os.getpid(), signal.SIGTERM)\nwhile True:\n    pass", "worker_lost", "SIGTERM, which its worker"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "worker_lost", "was killed (SIGKILL)"),
    ],
)
def test_a_script_that_ends_its_process_fails_after_a_few_attempts(
    post: Callable[[str], JobFolder], last_line: str, code: str, words: str
) -> None:
    job = post(f"{MODEL}{FIT}{last_line}\n")
    ending = ending_of(job)
    assert ending.error is not None
    assert (ending.status, ending.error.code, len(job.attempts())) == ("failed", code, 3)
    assert words in ending.error.message


def test_of_what_a_script_prints_without_end_the_beginning_and_the_end_are_kept(
    post: Callable[[str], JobFolder],
) -> None:
    job = post(PRINT_WITHOUT_END)
    assert ending_of(job).status == "succeeded"
    output = output_of(job)
    assert (output[:5], output[-5:], len(output) < 15_000_000) == ("first", "last\n", True)


def test_what_a_script_has_not_flushed_at_its_end_is_written(post: Callable[[str], JobFolder]) -> None:
    job = post("file = open('last.txt', 'w')\nfile.write('all of it')\nprint('no line end', end='')\n")
    assert ending_of(job).status == "succeeded"
    assert (job.attempts()[0].files / "last.txt").read_text() == "all of it"
    assert output_of(job) == "no line end\n"
