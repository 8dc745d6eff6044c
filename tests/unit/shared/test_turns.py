"""Projects take turns, in simulated time: no project waits longer than one job because another has a long queue."""

import heapq
from collections import Counter
from itertools import islice, pairwise
from random import Random

import pytest

from shared.ids import new_job_id
from shared.job_folder import is_waiting
from shared.open_job import OpenJob
from shared.turns import Turns, read_turns, record_turn
from tests.unit.shared.records import finished, record
from worker.supervisor.claim import Owner, claim_next


class Service:
    """Workers that take jobs by turns: `slots` of them, each job of a length in simulated seconds."""

    def __init__(self, slots, weights=None):
        self.weights = weights or {}
        self.now, self.past, self.waiting = 0.0, [], {}
        self.started = {}
        self._ends = [0.0] * slots

    def post(self, project, lengths):
        queue = self.waiting.setdefault(project, [])
        for length in lengths:
            queue.append(((project, len(self.started) + len(queue)), length, self.now))

    def run_until(self, is_enough):
        while not is_enough() and any(self.waiting.values()):
            self.now = heapq.heappop(self._ends)
            queues = {project: [(project, job) for job in queue] for project, queue in self.waiting.items()}
            project, job = next(Turns(self.past[-500:], self.weights).merge(queues))
            self.waiting[project].remove(job)
            self.past.append(project)
            self.started[job[0]] = (self.now, job[2])
            heapq.heappush(self._ends, self.now + job[1])

    def starts(self, project):
        return [start for (owner, _), (start, _) in self.started.items() if owner == project]


@pytest.mark.parametrize("slots", [1, 4])
def test_ten_jobs_beside_ten_thousand_wait_for_one_job_each(slots):
    service = Service(slots)
    service.post("many", [60.0] * 10_000)
    service.run_until(lambda: len(service.started) == 100)
    service.post("few", [60.0] * 10)
    arrived = service.now
    service.run_until(lambda: not service.waiting["few"])
    starts = service.starts("few")
    assert starts[0] - arrived <= 60
    # With one slot the other project's job is between two of its own.
    assert all(later - earlier <= 120 / min(slots, 2) for earlier, later in pairwise(starts))
    since = [start for start in service.starts("many") if arrived < start <= starts[-1]]
    assert abs(len(since) - 10) <= slots + 1, "the large project is not starved either"


def test_a_project_that_had_no_jobs_earns_no_turns_meanwhile():
    past = ["many"] * 400
    order = list(Turns(past, {}).merge({"many": ["many"] * 6, "new": ["new"] * 6}))
    assert order == ["new", "many"] * 6
    # If two starts are equal, the names decide: at most one turn more.
    order = list(Turns(past, {}).merge({"many": ["many"] * 6, "few": ["few"] * 6}))
    assert order == ["few", *["few", "many"] * 5, "many"]


def test_weights_share_the_turns():
    weights = {"vision": 3, "sound": 2}
    past = []
    for _ in range(600):
        queues = {project: [project] for project in ("default", "sound", "vision")}
        past.append(next(Turns(past[-500:], weights).merge(queues)))
    assert Counter(past[:480]) == {"vision": 240, "sound": 160, "default": 80}
    assert Counter(past[228:240]) == {"vision": 6, "sound": 4, "default": 2}, "without long runs of one project"
    # Only the newest turns are kept.
    assert Counter(past) == pytest.approx({"vision": 300, "sound": 200, "default": 100}, abs=2)


def test_a_project_alone_has_every_turn():
    assert list(Turns(["a", "b", "a"], {"a": 2}).merge({"b": [1, 2, 3]})) == [1, 2, 3]


@pytest.mark.parametrize("seed", range(50))
def test_a_place_agrees_with_the_order(seed):
    chance = Random(seed)
    projects = ["a", "b", "c", "d"][: chance.randint(1, 4)]
    weights = {project: chance.randint(1, 5) for project in projects if chance.random() < 0.7}
    past = [chance.choice([*projects, "gone"]) for _ in range(chance.randint(0, 30))]
    queues = {project: [(project, n) for n in range(chance.randint(0, 20))] for project in projects}
    turns = Turns(past, weights)
    waiting = {project: len(queue) for project, queue in queues.items()}
    order = list(turns.merge(queues))
    assert [turns.place(project, ahead, waiting) for project, ahead in order] == list(range(1, len(order) + 1))


@pytest.mark.parametrize("seed", range(20))
def test_the_order_stays_while_turns_are_taken(seed):
    chance = Random(seed)
    weights = {"a": chance.randint(1, 4), "b": chance.randint(1, 4)}
    queues = {project: [(project, n) for n in range(15)] for project in ("a", "b", "c")}
    past = [chance.choice("abc") for _ in range(10)]
    foretold = list(Turns(past, weights).merge(queues))
    served = []
    while any(queues.values()):
        one = next(Turns(past, weights).merge(queues))
        queues[one[0]].remove(one)
        past.append(one[0])
        served.append(one)
    assert served == foretold


def test_turns_are_kept_in_order_and_old_ones_go(tmp_path):
    (tmp_path / "not-a-turn").touch()
    for number in range(1100):
        record_turn(tmp_path, "a" if number % 3 else "b")
    kept = read_turns(tmp_path)
    assert 500 <= len(kept) <= 1002
    assert kept == ["a" if number % 3 else "b" for number in range(1100)][-len(kept) :]


def test_a_turn_that_cannot_be_recorded_hurts_nobody(tmp_path, caplog):
    record_turn(tmp_path / "missing", "a")
    assert "is not recorded" in caplog.text
    assert read_turns(tmp_path / "missing") == []


def owner():
    return Owner("w", "h", 1, 0, "CPU")


def post(volume, project, priority=5):
    return volume.store_job(record(priority).model_copy(update={"id": new_job_id(), "project": project}))


@pytest.mark.both_stores
def test_workers_claim_by_turns_and_by_priority_within_a_project(volume, machines):
    large = [post(volume, "default") for _ in range(20)]
    small = [post(volume, "vision", priority) for priority in (5, 0, 5)]
    workers = [machines.add() for _ in range(2)]
    served = []
    for turn in range(8):
        machines.look()
        attempt = claim_next(workers[turn % 2], owner())
        attempt.close(finished())
        served.append(attempt.job.id)
    assert served == [
        large[0].id, small[1].id, large[1].id, small[0].id, large[2].id, small[2].id, large[3].id, large[4].id,
    ]  # fmt: skip


@pytest.mark.both_stores
def test_jobs_that_run_or_wait_for_their_data_use_up_no_turn(volume, machines):
    running = [post(volume, "vision") for _ in range(3)]
    worker = machines.add()
    for _ in running:
        assert claim_next(worker, owner())
    waiting = post(volume, "vision")
    other = [post(volume, "default") for _ in range(2)]
    machines.look()
    claimed = [claim_next(worker, owner()).job.id for _ in range(3)]
    # The new project comes first, and the names decide the tie after it.
    assert claimed == [other[0].id, other[1].id, waiting.id]


def test_a_marker_says_its_project_and_those_of_older_versions_are_of_the_default_one(volume):
    job, old = post(volume, "vision"), post(volume, "default")
    names = sorted(entry.name for entry in volume.open.iterdir())
    assert names == [f"5-{job.id}.vision", f"5-{old.id}"]
    assert list(volume.open_jobs()) == [OpenJob(5, job.id, "vision"), OpenJob(5, old.id)]
    assert OpenJob.parse(f"5-{job.id}.Not a project") is OpenJob.parse("x") is None
    volume.forget_marker(job.id)
    assert [one.job_id for one in volume.open_jobs()] == [old.id]
    assert is_waiting(str(job.path)), "a marker is not the job"


def test_many_claims_are_cheap_to_order():
    queues = {f"p{n}": range(1000) for n in range(20)}
    past = [f"p{n % 20}" for n in range(500)]
    assert len(list(islice(Turns(past, {"p1": 7}).merge(queues), 5000))) == 5000
