"""A job's folder: its derived state, and one winner for each change of state."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.document import UnusableDocument
from shared.durable import replace_file
from shared.job import AttemptEnd, Conclusion
from shared.job_folder import is_waiting
from shared.times import utc_now
from tests.unit.shared.crash import dying_at
from tests.unit.shared.records import claim, ending, finished, handed_back, posted, record, taken

CALLERS = 8

pytestmark = pytest.mark.both_stores


@pytest.fixture
def at_once(machines):
    """Run `call` on several machines at the same moment, with a number and a job folder each; return the answers."""

    def call_all(job, call):
        volumes = [machines.add() for _ in range(CALLERS)]
        gate = threading.Barrier(CALLERS)

        def run(number):
            mine = volumes[number].job_folder(job.id)
            gate.wait()
            return call(number, mine)

        with ThreadPoolExecutor(CALLERS) as pool:
            answers = list(pool.map(run, range(CALLERS)))
        machines.look()
        return answers

    return call_all


def status(job):
    return job.state().status


def test_a_job_is_queued_running_queued_again_and_terminal_as_its_files_say(volume):
    job = posted(volume)
    assert status(job) == "queued"
    first = taken(job)
    assert status(job) == "running"
    first.close(handed_back())
    assert status(job) == "queued"
    second = taken(job, 2)
    assert status(job) == "running"
    assert job.state().attempt == second
    second.close(finished())
    assert status(job) == "running", "until somebody writes down what the end decided: nobody may cancel or claim it"
    job.settle(ending(), 2)
    assert status(job) == "succeeded"


def test_the_names_of_its_files_say_whether_a_job_is_queued(volume):
    """They agree with its state, except between the end that decides a job and its result."""
    job = posted(volume)
    seen = []

    def look(attempt):
        seen.append(is_waiting(str(job.path)))
        assert seen[-1] == (status(job) == "queued")
        assert job.running_attempt() == attempt

    look(None)
    first = taken(job)
    look(first)
    first.close(handed_back())
    look(None)
    second = taken(job, 2)
    look(second)
    second.close(finished())
    assert (is_waiting(str(job.path)), job.running_attempt()) == (True, None)
    job.settle(ending(), 2)
    look(None)
    assert seen == [True, False, True, False, False]
    assert not is_waiting(str(volume.job_folder(record().id).path))


def test_a_job_that_is_not_there_has_no_state(volume):
    job = volume.job_folder(record().id)
    assert (job.state(), job.record(), job.result(), job.cancel(), job.attempts()) == (None, None, None, None, [])


def test_a_job_is_stored_once(volume):
    what = record()
    job = volume.job_folder(what.id)
    assert job.store(what)
    assert not job.store(record())
    assert job.record() == what


@pytest.mark.parametrize("first", ["succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("second", ["succeeded", "failed", "cancelled"])
def test_the_first_terminal_state_stands_for_ever(volume, first, second):
    job = posted(volume)
    assert job.settle(ending(first), 1)
    content = job.result_file.read_bytes()
    assert not job.settle(ending(second), 2)
    assert job.result_file.read_bytes() == content
    assert status(job) == first


def test_a_terminal_job_stays_terminal_when_somebody_still_claims_it(volume):
    job = posted(volume)
    job.settle(ending("cancelled"), None)
    attempt = taken(job)
    assert status(job) == "cancelled"
    attempt.close(handed_back())
    assert status(job) == "cancelled"


def test_of_many_who_claim_one_attempt_one_has_it(volume, machines, at_once):
    job = posted(volume)
    for number in (1, 2):
        told = at_once(job, lambda caller, mine, number=number: mine.take(claim(number, owner=f"worker-{caller}")))
        winners = [caller for caller, attempt in enumerate(told) if attempt is not None]
        assert len(winners) == 1
        assert told[winners[0]].claim().owner == f"worker-{winners[0]}"
        told[winners[0]].close(handed_back())
        machines.look()


def test_of_many_who_settle_a_job_one_does(volume, at_once):
    job = posted(volume)
    hows = ["succeeded", "failed", "cancelled"]
    told = at_once(job, lambda caller, mine: mine.settle(ending(hows[caller % 3]), caller))
    assert told.count(True) == 1
    assert job.result().attempt == told.index(True)


def test_of_many_who_end_an_attempt_one_does(volume, at_once):
    attempt = taken(posted(volume))

    def close(caller, mine):
        return mine.attempts()[0].close(AttemptEnd(outcome="lost", ended_at=utc_now(), place=f"{caller}:0"))

    told = at_once(attempt.job, close)
    assert told.count(True) == 1
    assert attempt.end().place == f"{told.index(True)}:0"


def test_an_attempt_is_open_only_when_the_one_before_it_has_ended(volume):
    job = posted(volume)
    assert job.take(claim(2)) is None, "there was no first one"
    first = taken(job)
    assert job.take(claim(2)) is None
    assert job.take(claim(1)) is None
    first.close(handed_back())
    assert job.take(claim(3)) is None
    assert job.take(claim(2)) is not None


def test_an_attempt_without_a_claim_is_nobodys(volume, machines):
    job = posted(volume)
    with dying_at(5 if machines.has_bucket else 4):  # the folder exists, the claim does not
        job.take(claim(1))
    assert (job.attempts_folder / "1").is_dir()
    assert job.attempts() == []
    assert status(job) == "queued"
    assert taken(job).claim() == job.state().claim


def test_attempts_are_in_the_order_of_their_numbers_and_other_files_are_none(volume):
    job = posted(volume)
    for number in range(1, 12):
        taken(job, number).close(handed_back())
    (job.attempts_folder / ".partial").mkdir()
    assert [attempt.number for attempt in job.attempts()] == list(range(1, 12))
    assert job.attempts()[-1].job == job


def test_the_first_wish_to_cancel_stands(volume):
    job = posted(volume)
    first = job.request_cancel()
    assert job.request_cancel() == first == job.cancel()


def test_the_first_word_of_the_training_program_stands(volume):
    attempt = taken(posted(volume))
    assert attempt.conclusion() is None
    assert attempt.conclude(Conclusion(ending=ending()))
    assert not attempt.conclude(Conclusion(ending=None))
    assert attempt.conclusion().ending == ending()


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"version":1}', b'{"more":1}'])
def test_a_damaged_file_is_an_error_and_never_an_answer(volume, machines, content):
    replace_file(posted(volume).spec_file, content)
    worker = machines.add()
    [marker] = worker.open_jobs()
    job = worker.job_folder(marker.job_id)
    with pytest.raises(UnusableDocument, match=r"spec\.json is damaged"):
        job.state()
