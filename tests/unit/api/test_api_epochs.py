"""GET /jobs/{id}/epochs: what came behind an epoch, and a sample that says that it is one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.events import _sampled
from shared.events import Event, EventWriter
from shared.progress import Best, EpochProgress
from tests.support.jobs import claim


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
    rows = [progress(epoch, best and min(best, epoch)) for epoch in range(1, count + 1)]
    shown = [row.epoch for row in _sampled(rows, min(points, count))]
    assert shown == sorted(set(shown))
    assert len(shown) == min(points, count)
    assert {1, count, best or 1} <= set(shown)


@pytest.mark.parametrize("points", ["2", "0", "10001", "x"])
def test_a_sample_of_no_size_is_refused(client, job, points):
    assert client.get(f"/jobs/{job.id}/epochs?points={points}").status_code == 422
