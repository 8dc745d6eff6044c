"""How an attempt ended, decided from its files and its child's exit."""

import pytest

from shared.job import AttemptEnd, Conclusion, Ending, JobError, Stop
from shared.settings import Settings
from shared.times import parse_time
from tests.unit.shared.records import ending, handed_back, posted, posted_program, taken, train_to
from worker.supervisor.outcome import Exit, decide, failed_attempt, lost_attempt

SETTINGS = Settings(max_failures=3, retry_backoff_seconds=2)
ERROR = JobError(code="crash", message="the training process crashed")


def failed_times(job, times):
    """Return the attempt after `times` failed ones."""
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
        (Exit(None), "no_conclusion", "without a conclusion"),
        (Exit(-11), "crash", "SIGSEGV"),
        (Exit(-7), "crash", "SIGBUS"),
        (Exit(-4), "crash", "SIGILL"),
        (Exit(-8), "crash", "SIGFPE"),
        (Exit(-6), "crash", "SIGABRT"),
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


@pytest.mark.parametrize(
    ("post", "said", "held", "uncharged"),
    [
        (posted, 4.5, 4.5, 25.5),
        (posted, 99, 30, 0),
        (posted_program, 29.5, 29.5, 0.5),
        (posted_program, 0.1, 29, 1),
    ],
)
def test_an_attempt_is_charged_until_it_concluded_and_a_script_cannot_shorten_that(volume, post, said, held, uncharged):
    attempt = taken(post(volume))
    attempt.conclude(Conclusion(ending=ending("succeeded"), held_seconds=said))
    end = decide(attempt, Exit(0, seconds=30), SETTINGS)
    assert (end.held_seconds, end.uncharged_seconds) == (held, uncharged)


def test_an_attempt_whose_process_did_not_say_when_it_was_done_is_charged_by_its_worker(volume):
    attempt = taken(posted(volume))
    attempt.conclude(Conclusion(ending=ending("succeeded")))
    assert decide(attempt, Exit(0, seconds=30), SETTINGS).held_seconds is None


def test_a_child_that_hands_the_job_back_does_not_count_as_a_failure(volume):
    attempt = taken(posted(volume))
    attempt.conclude(Conclusion(ending=None))
    end = decide(attempt, Exit(0, was_asked=True), SETTINGS)
    assert (end.outcome, end.is_failure, end.ending, end.retry_at) == ("handed_back", False, None, None)


def test_a_child_that_must_begin_again_does_not_count_as_a_failure(volume):
    attempt = taken(posted(volume))
    attempt.conclude(Conclusion(ending=None, wants_restart=True))
    end = decide(attempt, Exit(0), SETTINGS)
    assert (end.outcome, end.is_failure, end.is_loss, end.ending) == ("handed_back", False, False, None)


def test_a_child_that_its_worker_did_not_stop_is_lost_and_may_not_be_for_ever(volume):
    job = posted(volume)
    for number in range(1, 4):
        attempt = taken(job, number)
        attempt.conclude(Conclusion(ending=None))
        end = decide(attempt, Exit(0), Settings(max_losses=3))
        assert (end.outcome, end.is_loss, end.error.code) == ("lost", True, "killed")
        assert (end.ending is not None) == (number == 3)
        attempt.close(end)
    assert "SIGTERM, which its worker had not sent" in end.ending.error.message


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


def test_a_failure_that_another_attempt_could_fix_is_tried_again(volume):
    attempt = taken(posted(volume))
    attempt.conclude(failure(may_retry=True))
    end = decide(attempt, Exit(1), SETTINGS)
    assert (end.outcome, end.is_failure, end.ending, end.error.code) == ("failed", True, None, "out_of_memory")


def test_a_failure_that_nothing_fixes_is_final_at_once(volume):
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
    assert end.ending.error.message.endswith("(the last of 3 failed attempts in a row without progress)")


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


# Losses


@pytest.mark.parametrize(("code", "says"), [(-9, "SIGKILL"), (-15, "SIGTERM"), (-63, "signal 63")])
def test_a_child_that_others_killed_is_a_loss_without_a_wait(volume, code, says):
    end = decide(taken(posted(volume)), Exit(code), SETTINGS)
    assert (end.outcome, end.is_loss, end.is_failure, end.retry_at, end.ending) == ("lost", True, False, None, None)
    assert end.error.code == "killed"
    assert says in end.error.message


def test_a_silent_worker_is_a_loss_that_names_it_and_says_for_how_long_it_was_silent(volume):
    end = lost_attempt(taken(posted(volume)), SETTINGS)
    assert (end.outcome, end.is_loss, end.is_failure, end.retry_at, end.ending) == ("lost", True, False, None, None)
    assert end.error.code == "worker_lost"
    assert "worker somebody on here" in end.error.message
    assert "30 s" in end.error.message


def test_a_worker_whose_process_is_gone_is_a_loss_that_says_so(volume):
    assert "ended without a report" in lost_attempt(taken(posted(volume)), SETTINGS, is_gone=True).error.message


def lose(job, times, *, after=0, settings=SETTINGS, progress=False):
    """Lose the next `times` attempts; with `progress`, each one an epoch further."""
    for number in range(after + 1, after + times + 1):
        attempt = taken(job, number)
        if progress:
            train_to(attempt, number - 1, number)
        end = lost_attempt(attempt, settings)
        attempt.close(end)
    return end


def test_losses_are_no_failures_however_many(volume):
    job = posted(volume)
    lose(job, 9)
    end = failed_attempt(taken(job, 10), ERROR, SETTINGS)
    assert end.ending is None
    assert waits(end) == pytest.approx(2, abs=0.1)


def test_a_job_that_was_lost_ten_times_without_progress_has_failed_and_names_its_workers(volume):
    job = posted(volume)
    assert lose(job, 9).ending is None
    end = lose(job, 1, after=9)
    assert (end.outcome, end.is_loss, end.ending.status, end.ending.error.code) == (
        "lost",
        True,
        "failed",
        "worker_lost",
    )
    assert "10 attempts in a row were lost without progress" in end.ending.error.message
    assert "worker somebody on here (10 times)" in end.ending.error.message


def test_a_job_that_makes_progress_may_be_lost_without_limit(volume):
    assert lose(posted(volume), 25, progress=True).ending is None


def test_a_failure_after_progress_begins_the_count_and_the_wait_at_their_beginning(volume):
    job = posted(volume)
    for number in (1, 2):
        attempt = taken(job, number)
        attempt.close(failed_attempt(attempt, ERROR, SETTINGS))
    third = taken(job, 3)
    train_to(third, 0, 4)
    end = failed_attempt(third, ERROR, SETTINGS)
    third.close(end)
    assert (end.ending, end.has_progress) == (None, True)
    assert waits(end) == pytest.approx(2, abs=0.1)
    ends = []
    for number in (4, 5, 6):
        attempt = taken(job, number)
        train_to(attempt, 4, None)
        ends.append(failed_attempt(attempt, ERROR, SETTINGS))
        attempt.close(ends[-1])
    assert [end.ending is None for end in ends] == [True, True, False]
    assert [waits(end) for end in ends[:2]] == pytest.approx([2, 4], abs=0.1)
    message = ends[-1].ending.error.message
    assert "3 failed attempts in a row without progress" in message
    assert "`extend` continues from its last resume point, in epoch 5; `retry` starts at epoch 1" in message


def test_handing_back_after_progress_begins_the_count_at_its_beginning(volume):
    job = posted(volume)
    lose(job, 9)
    tenth = taken(job, 10)
    train_to(tenth, 0, 1)
    tenth.close(decide(tenth, Exit(-9, "drain"), SETTINGS))
    assert lose(job, 9, after=10).ending is None


def test_a_point_at_the_place_where_the_attempt_began_is_no_progress(volume):
    attempt = taken(posted(volume))
    train_to(attempt, 4, 4)
    assert not lost_attempt(attempt, SETTINGS).has_progress


def test_points_that_nobody_can_resume_from_keep_no_job_in_a_circle(volume):
    job = posted(volume)
    settings = Settings(max_losses=4)
    for number in range(1, 6):
        attempt = taken(job, number)
        train_to(attempt, 0, 7)
        end = lost_attempt(attempt, settings)
        assert (end.ending is not None) == (number == 5)
        attempt.close(end)


@pytest.mark.parametrize("code", ["no_child", "worker_disk_full", "volume_full", "volume_error", "data_missing"])
def test_what_is_the_workers_or_the_volumes_fault_counts_nothing_and_rests_longer_each_time(volume, code):
    job = posted(volume)
    for number, rest in enumerate([2, 4, 8, 16, *[30] * 30], 1):
        attempt = taken(job, number)
        end = failed_attempt(attempt, JobError(code=code, message="not the job"), SETTINGS)
        assert (end.outcome, end.is_failure, end.is_loss, end.ending) == ("handed_back", False, False, None)
        assert end.error.code == code
        assert waits(end) == pytest.approx(rest, abs=0.5)
        attempt.close(end)


def test_ends_that_were_written_before_losses_were_told_apart_are_read_as_what_they_are(volume):
    old = {"version": 1, "ended_at": "2026-11-23T19:12:00.000Z", "is_failure": True}
    job = posted(volume)
    words = [("lost", "worker_lost"), ("failed", "killed"), ("failed", "crash")]
    for number, (outcome, code) in enumerate(words, 1):
        attempt = taken(job, number)
        attempt.close(AttemptEnd(**old, outcome=outcome, error=JobError(code=code, message="")))
    ends = [attempt.end() for attempt in job.attempts()]
    assert [end.counts_as_loss for end in ends] == [True, True, False]
    assert [end.counts_as_failure for end in ends] == [False, False, True]
    assert failed_attempt(taken(job, 4), ERROR, SETTINGS).ending is None


def test_a_damaged_conclusion_says_as_little_as_none(volume):
    attempt = taken(posted(volume))
    attempt.conclusion_file.write_bytes(b"{")
    end = decide(attempt, Exit(1), SETTINGS)
    assert (end.outcome, end.error.code) == ("failed", "no_conclusion")
