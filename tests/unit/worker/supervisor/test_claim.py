"""Which job is next, and which worker gets it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.durable import remove_name, replace_file
from shared.job import AttemptEnd, JobError
from shared.settling import settle_if_decided
from shared.times import time_in, utc_now
from tests.unit.shared.crash import dying_at
from tests.unit.shared.records import ending, finished, handed_back, posted, posted_program, taken
from worker.supervisor.claim import Owner, claim_next, waiting_jobs

WORKERS = 8

pytestmark = pytest.mark.both_stores


def owner(name="one", slot=0, devices=1):
    return Owner(worker=name, host="here", pid=1, slot=slot, device="CPU", devices=devices)


@pytest.fixture
def worker(volume, machines):
    """The volume as a worker on its own machine sees it."""
    return machines.add()


@pytest.fixture
def ask(worker, machines):
    """Let the worker claim from what it sees now, and let all others see the claim."""

    def ask(*owner, **how):
        machines.look()
        attempt = claim_next(worker, *owner, **how)
        machines.look()
        return attempt

    return ask


@pytest.fixture
def waiting(worker, machines):
    """Return the jobs that wait for the worker."""

    def look(**how):
        machines.look()
        found = [state.record.id for state in waiting_jobs(worker, **how)]
        machines.look()
        return found

    return look


def test_many_workers_that_ask_at_once_get_each_job_exactly_once(volume, machines):
    jobs = {posted(volume, priority).id for priority in (5, 0, 9) * 4}
    gate = threading.Barrier(WORKERS)
    volumes = [machines.add() for _ in range(WORKERS)]

    def work(number):
        gate.wait()
        mine = []
        while (attempt := claim_next(volumes[number], owner(f"worker-{number}"))) is not None:
            assert attempt.claim().owner == f"worker-{number}"
            mine.append(attempt.job.id)
        return mine

    with ThreadPoolExecutor(WORKERS) as pool:
        claimed = [job_id for mine in pool.map(work, range(WORKERS)) for job_id in mine]
    assert sorted(claimed) == sorted(jobs)


def test_a_worker_that_allows_no_code_leaves_programs_to_others(volume, ask, waiting):
    program = posted_program(volume)
    other = posted(volume)
    assert waiting(takes_programs=False) == [other.id]
    assert ask(owner(), takes_programs=False).job.id == other.id
    assert ask(owner(), takes_programs=False) is None
    assert ask(owner()).job.id == program.id


def test_a_job_on_several_devices_is_left_to_a_slot_that_holds_them(volume, ask, waiting):
    wide, narrow = posted(volume, devices=2), posted(volume)
    assert waiting(devices=1) == [narrow.id]
    assert ask(owner()).job.id == narrow.id
    assert ask(owner()) is None
    attempt = ask(owner(devices=4))
    assert (attempt.job.id, attempt.claim().devices) == (wide.id, 2)


def test_a_claim_says_what_all_its_devices_cost(volume, ask):
    posted(volume, devices=2)
    mine = Owner("one", "here", 1, 0, "NVIDIA H200", 3.0, "USD", devices=4)
    claim = ask(mine).claim()
    assert (claim.gpu_price_per_hour, claim.price_per_device, claim.currency) == (6.0, 3.0, "USD")


def test_a_slot_of_several_devices_takes_the_first_job_in_order_whatever_it_needs(volume, ask):
    jobs = [posted(volume, devices=devices).id for devices in (1, 2, 1, 2)]
    assert [ask(owner(devices=2)).job.id for _ in jobs] == jobs


def test_many_workers_that_ask_for_a_job_that_came_back_get_its_next_attempt_once(volume, machines):
    job = posted(volume)
    taken(job).close(handed_back())
    gate = threading.Barrier(WORKERS)
    volumes = [machines.add() for _ in range(WORKERS)]

    def work(number):
        gate.wait()
        return claim_next(volumes[number], owner(f"worker-{number}"))

    with ThreadPoolExecutor(WORKERS) as pool:
        (attempt,) = (one for one in pool.map(work, range(WORKERS)) if one is not None)
    assert attempt.number == 2
    machines.look()
    assert [one.number for one in job.attempts()] == [1, 2]


def test_jobs_are_claimed_by_priority_and_then_by_age(volume, ask):
    jobs = [posted(volume, priority) for priority in (5, 0, 9, 5, 0)]
    expected = sorted(jobs, key=lambda job: (job.record().spec.priority, job.id))
    claimed = [ask(owner()).job.id for _ in jobs]
    assert claimed == [job.id for job in expected]
    assert ask(owner()) is None


def test_where_nothing_waits_nothing_is_claimed(volume, ask):
    assert ask(owner()) is None
    taken(posted(volume))
    assert ask(owner()) is None


def test_a_claim_says_whose_it_is(volume, ask):
    posted(volume)
    claim = ask(owner("gpu-1-77", slot=3)).claim()
    assert (claim.attempt, claim.owner, claim.host, claim.pid, claim.slot, claim.device) == (
        1, "gpu-1-77", "here", 1, 3, "CPU"
    )  # fmt: skip


def test_a_failed_job_is_not_taken_before_its_time(volume, waiting):
    job = posted(volume)
    later = AttemptEnd(outcome="failed", ended_at=utc_now(), is_failure=True, retry_at=time_in(250))
    taken(job).close(later)
    assert waiting() == []
    assert job.state().status == "queued"


def test_a_failed_job_is_taken_when_its_time_has_come(volume, waiting):
    job = posted(volume)
    now = AttemptEnd(outcome="failed", ended_at=utc_now(), is_failure=True, retry_at=time_in(-1))
    taken(job).close(now)
    assert waiting() == [job.id]


def test_a_failed_job_does_not_wait_for_the_clock_of_a_machine_that_was_a_day_ahead(volume, waiting):
    job = posted(volume)
    tomorrow = AttemptEnd(outcome="failed", ended_at=time_in(86_400), is_failure=True, retry_at=time_in(86_401))
    taken(job).close(tomorrow)
    assert waiting() == [job.id]


@pytest.mark.parametrize(("has", "waits"), [(1000, True), (2000, True), (2001, False), (None, True)])
def test_a_job_whose_data_did_not_fit_waits_for_all_but_a_worker_with_more_memory(
    volume, monkeypatch, has, waits, ask, waiting
):
    job = posted(volume)
    monkeypatch.setattr("worker.supervisor.claim.memory_bytes", lambda: 2000)
    error = JobError(code="data_larger_than_memory", message="too large")
    later = AttemptEnd(outcome="failed", ended_at=utc_now(), error=error, is_failure=True, retry_at=time_in(250))
    ask(owner()).close(later)
    monkeypatch.setattr("worker.supervisor.claim.memory_bytes", lambda: has)
    assert waiting() == ([] if waits else [job.id])


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_a_result_that_an_ended_attempt_decided_is_written_by_whoever_looks_next(volume, status, waiting):
    job = posted(volume)
    taken(job).close(finished(status))
    assert waiting() == []
    assert (job.result().ending, job.result().attempt) == (ending(status), 1)
    assert list(volume.open_jobs()) == []


def test_a_job_that_is_cancelled_in_the_queue_is_over_at_the_next_look(volume, ask):
    job = posted(volume)
    job.request_cancel()
    assert ask(owner()) is None
    assert job.result().ending.status == "cancelled"
    assert job.result().ending.stop.reason == "cancelled"
    assert job.attempts() == []


def test_a_running_job_that_is_cancelled_is_left_to_its_worker(volume):
    job = posted(volume)
    taken(job)
    job.request_cancel()
    assert not settle_if_decided(job, job.state())
    assert job.result() is None


def test_a_finished_attempt_counts_for_more_than_a_cancel_that_came_too_late(volume):
    job = posted(volume)
    attempt = taken(job)
    job.request_cancel()
    attempt.close(finished("succeeded"))
    assert settle_if_decided(job, job.state())
    assert job.result().ending.status == "succeeded"


def test_a_job_that_is_cancelled_while_it_is_claimed_is_not_started(volume, monkeypatch, ask):
    job = posted(volume)
    take = type(job).take

    def cancelled_meanwhile(folder, claim):
        folder.request_cancel()
        folder.settle(ending("cancelled"), None)
        return take(folder, claim)

    monkeypatch.setattr(type(job), "take", cancelled_meanwhile)
    assert ask(owner()) is None
    assert job.state().status == "cancelled"
    assert job.attempts()[0].end().outcome == "handed_back", "nobody may think it still runs"


def test_a_damaged_job_stands_aside(volume, caplog, ask):
    damaged, sound = posted(volume), posted(volume, priority=9)
    replace_file(damaged.spec_file, b"{")
    assert ask(owner()).job.id == sound.id
    assert ask(owner()) is None
    assert caplog.text.count(damaged.id) == 1, "told once, not at each look"


def test_a_marker_whose_job_is_not_stored_yet_is_left_alone(volume, waiting):
    job = posted(volume)
    spec = job.spec_file.read_bytes()
    remove_name(job.spec_file)
    assert waiting() == []
    job.path.mkdir(exist_ok=True)
    replace_file(job.spec_file, spec)
    assert waiting() == [job.id]


@pytest.mark.parametrize("change", range(1, 14))
def test_a_worker_that_dies_in_its_claim_leaves_the_job_to_others_or_owns_it(volume, machines, change):
    job = posted(volume)
    dead = machines.add()
    with dying_at(change):
        claim_next(dead, owner("dead"))
    machines.lose(dead)
    claimed = claim_next(machines.add(), owner("next"))
    machines.look(at_everything=True)
    assert job.state().status == "running"
    assert [attempt.claim().owner for attempt in job.attempts()] == ["next" if claimed else "dead"]


def test_a_job_whose_plan_cannot_be_read_is_set_aside_and_the_next_one_is_claimed(volume, caplog, ask):
    first, second = posted(volume, 0), posted(volume, 5)
    replace_file(first.plan_file, b'{"format":2}')
    assert ask(owner()).job.id == second.id
    assert ask(owner()) is None
    [told] = [record.message for record in caplog.records if first.id in record.message]
    assert "plan.json was written by a newer version of Fitstop" in told
