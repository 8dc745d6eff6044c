"""The unfinished jobs of a key, over several processes."""

from types import SimpleNamespace

from api.state.shared_counts import MemoryCounts
from api.state.unfinished_jobs import UnfinishedJobs
from shared.ids import new_job_id
from shared.open_job import OpenJob
from shared.volume import Volume


def test_two_processes_admit_together_no_more_than_the_limit(tmp_path):
    volume, counts = Volume(tmp_path), MemoryCounts()
    shared = SimpleNamespace(ask=lambda question: question(counts))
    processes = [UnfinishedJobs(shared, volume) for _ in range(2)]
    admitted = 0
    names = [OpenJob(5, new_job_id()).name for _ in range(12)]
    for number, name in enumerate(names[:10]):
        if processes[number % 2].admit("k", name, 6):
            (volume.open / name).touch()
            admitted += 1
    assert admitted == 6
    (volume.open / names[0]).unlink()
    assert processes[0].admit("k", names[10], 6), "a finished job leaves its place"
    (volume.open / names[10]).touch()
    assert not processes[1].admit("k", names[11], 6)


def test_a_job_that_is_just_being_stored_keeps_its_place(tmp_path):
    volume, counts = Volume(tmp_path), MemoryCounts()
    unfinished = UnfinishedJobs(SimpleNamespace(ask=lambda question: question(counts)), volume)
    first, second, third, fourth = (OpenJob(5, new_job_id()).name for _ in range(4))
    assert all(unfinished.admit("k", name, 2) for name in (first, second, third)), "none of them has a marker yet"
    for name in (first, second, third):
        (volume.open / name).touch()
    assert not unfinished.admit("k", fourth, 2)
