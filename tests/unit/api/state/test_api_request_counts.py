"""Requests are told to the others now and then, and each one near the limit."""

import pytest

from api.state import request_counts, unfinished_jobs
from api.state.request_counts import RequestCounts
from api.state.shared_counts import MemoryCounts
from api.state.unfinished_jobs import UnfinishedJobs
from shared.volume import Volume


class Others:
    """What all processes share, and how often it was asked."""

    def __init__(self):
        self.counts = MemoryCounts()
        self.asked = 0

    def ask(self, question):
        self.asked += 1
        return question(self.counts)


@pytest.fixture
def others():
    return Others()


@pytest.fixture
def clock(monkeypatch):
    """The time of both modules, which stands still until it is set."""
    now = [1000.0]
    for module in (request_counts, unfinished_jobs):
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_far_from_its_limit_a_key_costs_the_others_one_question_in_a_second(others, clock):
    requests = RequestCounts(others)
    assert [requests.add("k", 6000).total for _ in range(60)] == list(range(1, 61))
    assert others.asked == 1
    clock[0] += 1
    assert requests.add("k", 6000).total == 61
    assert others.asked == 2
    assert others.counts.add("k", 0, 60).total == 61, "what was not told is told with the next one"


def test_near_its_limit_every_request_is_told_so_that_two_processes_count_as_one(others, clock):
    first, second = RequestCounts(others), RequestCounts(others)
    totals = [one.add("k", 10).total for _ in range(6) for one in (first, second)]
    assert totals == list(range(1, 13))


def test_several_processes_let_a_key_make_a_64th_more_for_each_at_most(others, clock):
    quota = 6400
    processes = [RequestCounts(others) for _ in range(4)]
    passed = sum(one.add("k", quota).total <= quota for _ in range(quota) for one in processes)
    assert quota <= passed <= quota + 4 * quota // 64


def test_a_window_that_ended_begins_anew_also_for_what_was_not_told(others, clock):
    requests = RequestCounts(others)
    for _ in range(5):
        requests.add("k", 6000)
    clock[0] += 61
    assert requests.add("k", 6000).total == 1


def test_far_from_the_limit_a_job_is_admitted_without_a_question_and_told_with_the_next(others, clock, tmp_path):
    jobs = UnfinishedJobs(others, Volume(tmp_path))
    assert all(jobs.admit("k", f"5-{number}", 10_000) for number in range(100))
    assert others.asked == 1
    clock[0] += 1
    assert jobs.admit("k", "5-last", 10_000)
    assert len(others.counts.members("jobs:k")) == 101


def test_two_processes_admit_together_no_more_than_a_small_limit(others, clock, tmp_path):
    volume = Volume(tmp_path)
    processes = [UnfinishedJobs(others, volume) for _ in range(2)]
    admitted = 0
    for number in range(10):
        name = f"5-{number}"
        if processes[number % 2].admit("k", name, 6):
            (volume.open / name).touch()
            admitted += 1
    assert admitted == 6
    (volume.open / "5-0").unlink()
    assert processes[0].admit("k", "5-new", 6), "a job that is over leaves its place"
    (volume.open / "5-new").touch()
    assert not processes[1].admit("k", "5-newer", 6)
