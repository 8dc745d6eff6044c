"""How an attempt ended, decided from its files and its child's exit."""

import pytest

from shared.job import Conclusion, Ending, JobError, Stop
from shared.settings import Settings
from shared.times import parse_time
from tests.unit.shared.records import ending, handed_back, posted, taken
from worker.outcome import Exit, decide, failed_attempt, lost_attempt

SETTINGS = Settings(max_failures=3, retry_backoff_seconds=2)
ERROR = JobError(code="killed", message="the training process was killed")


def failed_times(job, times):
    """The attempt that comes after so many failed ones."""
    for number in range(1, times + 1):
        attempt = taken(job, number)
        attempt.close(failed_attempt(attempt, ERROR, SETTINGS))
    return taken(job, times + 1)


def waits(end):
    return (parse_time(end.retry_at) - parse_time(end.ended_at)).total_seconds()


@pytest.mark.parametrize(
    ("child", "code", "says"),
    [
        (Exit(0), "no_conclusion", "status 0"),
        (Exit(1), "no_conclusion", "status 1"),
        (Exit(None), "no_conclusion", "without a word"),
        (Exit(-9), "killed", "SIGKILL"),
        (Exit(-15), "killed", "SIGTERM"),
        (Exit(-11), "crash", "SIGSEGV"),
        (Exit(-7), "crash", "SIGBUS"),
        (Exit(-4), "crash", "SIGILL"),
        (Exit(-8), "crash", "SIGFPE"),
        (Exit(-6), "crash", "SIGABRT"),
        (Exit(-63), "killed", "signal 63"),
        (Exit(-9, "hang"), "hang", ""),
    ],
)
def test_a_child_that_ended_without_a_word_failed_and_the_job_comes_back(volume, child, code, says):
    end = decide(taken(posted(volume)), child, SETTINGS)
    assert (end.outcome, end.is_failure, end.ending) == ("failed", True, None)
    assert end.error.code == code
    assert says in end.error.message
    assert end.retry_at is not None


@pytest.mark.parametrize("status", ["succeeded", "cancelled"])
@pytest.mark.parametrize("code", [0, -9, -11])
def test_what_the_child_concluded_counts_however_it_ended_afterwards(volume, status, code):
    attempt = taken(posted(volume))
    attempt.conclude(Conclusion(ending=ending(status)))
    end = decide(attempt, Exit(code), SETTINGS)
    assert (end.outcome, end.is_failure, end.retry_at) == ("finished", False, None)
    assert end.ending == ending(status)


def test_a_child_that_hands_the_job_back_does_not_count_as_a_failure(volume):
    attempt = taken(posted(volume))
    attempt.conclude(Conclusion(ending=None))
    end = decide(attempt, Exit(0), SETTINGS)
    assert (end.outcome, end.is_failure, end.ending, end.retry_at) == ("handed_back", False, None, None)


def test_a_child_that_was_killed_in_a_drain_hands_the_job_back(volume):
    end = decide(taken(posted(volume)), Exit(-9, "drain"), SETTINGS)
    assert (end.outcome, end.is_failure, end.ending) == ("handed_back", False, None)


@pytest.mark.parametrize("child", [Exit(0), Exit(-9, "cancel"), Exit(-15), Exit(-9, "drain")])
def test_a_cancelled_job_is_cancelled_however_its_child_ended(volume, child):
    attempt = taken(posted(volume))
    attempt.job.request_cancel()
    end = decide(attempt, child, SETTINGS)
    assert (end.outcome, end.is_failure) == ("finished", False)
    assert (end.ending.status, end.ending.stop.reason) == ("cancelled", "cancelled")


def test_a_job_that_succeeded_before_it_heard_of_its_cancel_has_succeeded(volume):
    attempt = taken(posted(volume))
    attempt.job.request_cancel()
    attempt.conclude(Conclusion(ending=ending("succeeded")))
    assert decide(attempt, Exit(0), SETTINGS).ending.status == "succeeded"


def failure(may_retry):
    error = JobError(code="out_of_memory", message="the GPU is full")
    return Conclusion(ending=Ending(status="failed", stop=Stop(reason="error"), error=error), may_retry=may_retry)


def test_a_failure_that_another_attempt_could_mend_is_tried_again(volume):
    attempt = taken(posted(volume))
    attempt.conclude(failure(may_retry=True))
    end = decide(attempt, Exit(1), SETTINGS)
    assert (end.outcome, end.is_failure, end.ending, end.error.code) == ("failed", True, None, "out_of_memory")


def test_a_failure_that_nothing_mends_is_final_at_once(volume):
    attempt = taken(posted(volume))
    attempt.conclude(failure(may_retry=False))
    end = decide(attempt, Exit(1), SETTINGS)
    assert end.ending.status == "failed"
    assert end.error == end.ending.error == JobError(code="out_of_memory", message="the GPU is full")
    assert end.retry_at is None


def test_a_failure_is_tried_again_until_there_were_too_many(volume):
    attempt = failed_times(posted(volume), 2)
    attempt.conclude(failure(may_retry=True))
    end = decide(attempt, Exit(1), SETTINGS)
    assert end.retry_at is None
    assert (end.ending.status, end.ending.stop.reason, end.ending.stop.epochs_not_run) == ("failed", "error", 1000)
    assert end.ending.error.code == "out_of_memory"
    assert end.ending.error.message.endswith("(the last of 3 failed attempts)")


def test_handing_back_does_not_bring_a_job_nearer_to_its_limit(volume):
    job = posted(volume)
    for number in range(1, 6):
        taken(job, number).close(handed_back())
    end = failed_attempt(taken(job, 6), ERROR, SETTINGS)
    assert end.ending is None
    assert waits(end) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 2), (1, 4), (2, 8), (3, 16), (7, 256), (8, 300), (12, 300)])
def test_the_wait_doubles_with_each_failure_up_to_five_minutes(volume, failures, seconds):
    patient = Settings(max_failures=100, retry_backoff_seconds=2)
    job = posted(volume)
    for number in range(1, failures + 1):
        attempt = taken(job, number)
        attempt.close(failed_attempt(attempt, ERROR, patient))
    assert waits(failed_attempt(taken(job, failures + 1), ERROR, patient)) == pytest.approx(seconds, abs=0.1)


def test_with_a_single_attempt_allowed_the_first_failure_is_final(volume):
    end = failed_attempt(taken(posted(volume)), ERROR, Settings(max_failures=1))
    assert end.ending.error == ERROR
    assert end.retry_at is None


def test_a_lost_attempt_counts_as_a_failure_and_says_for_how_long_it_was_silent(volume):
    end = lost_attempt(taken(posted(volume)), SETTINGS)
    assert (end.outcome, end.is_failure, end.ending, end.error.code) == ("lost", True, None, "worker_lost")
    assert "30 s" in end.error.message


def test_a_job_that_is_lost_too_often_has_failed(volume):
    end = lost_attempt(failed_times(posted(volume), 2), SETTINGS)
    assert (end.outcome, end.ending.status) == ("lost", "failed")
