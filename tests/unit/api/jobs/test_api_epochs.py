"""GET /jobs/{id}/epochs: the rows after an epoch, and a sample that is marked as one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.jobs.events import _sample
from api.state.histories import Histories
from shared import history
from shared.events import Event, EventWriter
from shared.progress import Best, EpochProgress
from tests.support.jobs import claim
from tests.unit.shared.records import handed_back


def progress(epoch, best):
    return EpochProgress(
        epoch=epoch, epochs=9999, metrics={"loss": 0.5}, learning_rate=0.1, seconds=0.5, early_stopping=None,
        best=best and Best(epoch=best, monitor="loss", value=0.1), reduce_lr=None,
    )  # fmt: skip


def tell(job, count, best=1):
    with EventWriter(claim(job).events_file) as writer:
        rows = [progress(epoch, min(best, epoch)) for epoch in range(1, count + 1)]
        writer.write([Event("epoch", f"epoch {row.epoch}", row.model_dump(mode="json")) for row in rows])


def epochs(client, job, query=""):
    answer = client.get(f"/jobs/{job.id}/epochs{query}").json
    return [row["epoch"] for row in answer["data"]], answer["sampled"], answer["has_more"]


def test_only_what_came_behind_an_epoch_is_sent(client, job):
    tell(job, 10)
    assert epochs(client, job, "?after=7") == ([8, 9, 10], None, False)
    assert epochs(client, job, "?after=7&limit=2") == ([8, 9], None, True)
    assert epochs(client, job, "?after=10") == ([], None, False)


def test_a_sample_says_that_it_is_one_and_holds_the_first_the_last_and_the_best(client, job):
    tell(job, 500, best=77)
    shown, sampled, has_more = epochs(client, job, "?points=20")
    assert (len(shown), sampled, has_more) == (20, {"of": 500, "shown": 20}, False)
    assert {1, 77, 500} <= set(shown)
    shown, sampled, _ = epochs(client, job, "?points=20&after=490")
    assert (shown, sampled) == (list(range(491, 501)), None)


def test_where_all_points_fit_nothing_is_said_of_a_sample_however_many_there_are(client, job):
    tell(job, 1500)
    shown, sampled, has_more = epochs(client, job, "?points=1500")
    assert (len(shown), sampled, has_more) == (1500, None, False)


@given(count=st.integers(4, 400), points=st.integers(3, 50), data=st.data())
@settings(deadline=None)
def test_a_sample_is_in_order_and_never_loses_what_matters(count, points, data):
    best = data.draw(st.none() | st.integers(1, count))
    epochs = list(range(1, count + 1))
    shown = [epochs[place] for place in _sample(epochs, best, min(points, count))]
    assert shown == sorted(set(shown))
    assert len(shown) == min(points, count)
    assert {1, count, best or 1} <= set(shown)


def test_after_the_first_request_only_what_is_new_is_read(client, job, monkeypatch):
    tell(job, 500)
    assert len(epochs(client, job, "?points=20")[0]) == 20
    starts = []
    real = history.read_events
    monkeypatch.setattr(history, "read_events", lambda path, start, end: starts.append(start) or real(path, start, end))
    size = job.attempts()[0].events_file.stat().st_size
    with EventWriter(job.attempts()[0].events_file) as writer:
        writer.write([Event("epoch", "epoch 501", progress(501, 1).model_dump(mode="json"))])
    assert epochs(client, job, "?after=499") == ([500, 501], None, False)
    assert epochs(client, job, "?points=20")[1] == {"of": 501, "shown": 20}
    assert max(starts) > size
    assert [start for start in starts if start] == [size, max(starts)]


def test_an_epoch_that_was_trained_again_is_told_as_it_was_last(client, job):
    tell(job, 3)
    job.attempts()[0].close(handed_back())
    second = claim(job, 2)
    again = {**progress(2, 1).model_dump(mode="json"), "metrics": {"loss": None, "auc": 0.25}, "learning_rate": 0.05}
    with EventWriter(second.events_file) as writer:
        writer.write([Event("epoch", "epoch 2", again)])
    rows = client.get(f"/jobs/{job.id}/epochs").json["data"]
    first = {"epoch": 1, "metrics": {"loss": 0.5}, "learning_rate": 0.1, "seconds": 0.5}
    later = {"epoch": 2, "metrics": {"loss": None, "auc": 0.25}, "learning_rate": 0.05, "seconds": 0.5}
    assert rows == [first, later, {**first, "epoch": 3}]


def test_of_many_jobs_no_more_is_kept_than_fits_into_the_memory_that_is_set(new_job):
    jobs = [new_job() for _ in range(4)]
    for job in jobs:
        tell(job, 100)
    histories = Histories()
    each = histories.of(jobs[0]).bytes
    assert 100 * 8 * 8 <= each <= 100 * 8 * 9
    assert kept_of(histories, [*jobs, jobs[0]]) == {job.id for job in jobs}
    assert kept_of(Histories(2 * each), [*jobs, jobs[0]]) == {jobs[0].id, jobs[3].id}
    assert kept_of(Histories(each // 2), jobs) == {jobs[3].id}, "the newest stays, whatever its size"


def test_a_reader_that_grows_is_measured_again(new_job):
    first, second = new_job(), new_job()
    tell(first, 100)
    tell(second, 10)
    histories = Histories(Histories().of(first).bytes + Histories().of(second).bytes + 100)
    assert kept_of(histories, [first, second]) == {first.id, second.id}
    with EventWriter(second.attempts()[0].events_file) as writer:
        writer.write([Event("epoch", f"epoch {n}", progress(n, 100).model_dump(mode="json")) for n in range(11, 51)])
    assert kept_of(histories, [second]) == {second.id}


def kept_of(histories, jobs):
    for job in jobs:
        histories.of(job)
    return set(histories._readers._cache)


@pytest.mark.parametrize("points", ["2", "0", "10001", "x"])
def test_a_sample_of_no_size_is_refused(client, job, points):
    assert client.get(f"/jobs/{job.id}/epochs?points={points}").status_code == 422
