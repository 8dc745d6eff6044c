"""The sender on a real volume, with real receivers: what is sent, in which order, and what a restart forgets."""

import os

import pytest

from api.state.deliveries import Delivery, last_deliveries
from api.state.webhook_store import volume_now
from api.webhooks import delivery_queue, send
from api.webhooks.facts import facts_of
from api.webhooks.watch import Watch
from shared.events import Event
from shared.job import AttemptEnd, Ending, JobError, Stop
from shared.open_job import OpenJob
from shared.times import utc_now
from tests.support.epochs import tell
from tests.support.jobs import claim
from tests.support.waiting import wait_for
from tests.support.webhooks import Receiver, put_webhook


def lose(job, number, **more):
    attempt = claim(job, number, **more)
    error = JobError(code="worker_lost", message="its worker is gone")
    attempt.close(AttemptEnd(outcome="lost", ended_at=utc_now(), error=error, is_loss=True, held_seconds=1.0))
    return attempt


def end(volume, job, status="succeeded", stop="early_stopping", attempt=None):
    job.settle(Ending(status=status, stop=Stop(reason=stop)), attempt)
    volume.close_job(OpenJob(5, job.id))


@pytest.mark.both_stores
def test_every_event_of_a_job_is_sent_once_and_in_order(run_until, store, volume, grades, new_job):
    with Receiver() as receiver:
        put_webhook(store, address=receiver.url)
        job = new_job(budget={"max_gpu_seconds": 4})
        lose(job, 1)
        attempt = claim(job, 2)
        run_until(lambda: receiver.types() == ["job.worker_lost"])
        tell(attempt, Event("data", "read", {}, at=2.7))
        attempt.close(AttemptEnd(outcome="finished", ended_at=utc_now(), held_seconds=2.7))
        end(volume, job, attempt=2)
        wanted = ["job.worker_lost", "job.budget_nearly_used", "job.early_stopping", "job.succeeded"]
        run_until(lambda: receiver.types()[-1:] == wanted[-1:])
        run_until(lambda: (store.folder / "settled").read_text() == f"{job.id}\n")
        # After a kill between an answer and its record, the event is sent again with the same id.
        first = {one["webhook-id"]: one for one in reversed(receiver.accepted)}
        firsts = sorted(first.values(), key=receiver.accepted.index)
        assert [one["type"] for one in firsts] == wanted
        assert receiver.bad_signatures == 0
        lost, budget, *_, over = firsts
        assert lost["data"]["attempt"] == 1
        assert "3.7 of 4 seconds of compute time" in budget["data"]["message"]
        assert (over["data"]["id"], over["data"]["status"]) == (job.id, "succeeded")
        assert over["data"]["stop"]["reason"] == "early_stopping"


@pytest.mark.both_stores
def test_a_webhook_gets_what_it_was_made_for_and_nothing_from_before(run_until, store, volume, grades, new_job):
    with Receiver() as all_of_it, Receiver() as filtered, Receiver() as late, Receiver() as foreign:
        put_webhook(store, address=all_of_it.url, events=("job.failed", "job.cancelled"))
        put_webhook(store, address=filtered.url, job_name="wanted", metadata={"team": "a"})
        put_webhook(store, address=foreign.url, project="other")
        early = new_job()
        end(volume, early, "failed", "error")
        ended = early.result_file.stat().st_mtime_ns
        wait_for(lambda: volume_now(volume) > ended, saying="the volume's clock ticks")
        put_webhook(store, address=late.url, since_ns=volume_now(volume))
        end(volume, new_job(name="wanted"), "cancelled", "cancelled")
        end(volume, new_job(name="wanted", metadata={"team": "a", "x": "y"}), "cancelled", "cancelled")
        run_until(lambda: len(all_of_it.accepted) == 3 and len(late.accepted) == 2 and filtered.accepted)
        assert sorted(all_of_it.types()) == ["job.cancelled", "job.cancelled", "job.failed"]
        assert [one["data"]["metadata"] for one in filtered.accepted] == [{"team": "a", "x": "y"}]
        assert late.types() == ["job.cancelled"] * 2
        assert foreign.received == []


def test_a_receiver_that_fails_gets_it_later_in_order_and_one_that_hangs_delays_no_other(
    run_until, store, volume, grades, new_job, monkeypatch
):
    monkeypatch.setattr(send, "SECONDS", 0.3)
    answers = [500, 302, None, 404, 429]
    with (
        Receiver(lambda number: answers[number] if number < len(answers) else 200) as failing,
        Receiver(lambda _: None) as hanging,
        Receiver() as healthy,
    ):
        ids = [put_webhook(store, address=one.url).id for one in (failing, hanging, healthy)]
        job = new_job()
        lose(job, 1)
        end(volume, job)
        wanted = ["job.worker_lost", "job.early_stopping", "job.succeeded"]
        run_until(lambda: healthy.types() == failing.types() == wanted)
        assert [one["type"] for one in failing.received[: len(answers) + 1]] == ["job.worker_lost"] * 6
        assert hanging.accepted == []
        (stuck,) = [one for one in last_deliveries(store.place(ids[1])) if one.tries]
        assert (stuck.status, stuck.answer, stuck.error) == ("pending", None, "no answer within 0.3 s")
        done = {one.type: one for one in last_deliveries(store.place(ids[0]))}
        assert (done["job.worker_lost"].status, done["job.worker_lost"].tries) == ("delivered", 6)


def test_after_a_day_a_delivery_is_given_up_and_the_next_one_is_sent(
    run_until, store, volume, grades, new_job, monkeypatch
):
    monkeypatch.setattr(delivery_queue, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(delivery_queue, "LEAST_TRIES", 3)
    with Receiver(lambda number: 500 if number < 3 else 200) as receiver:
        webhook = put_webhook(store, address=receiver.url)
        end(volume, new_job())
        run_until(lambda: receiver.types() == ["job.succeeded"])
        run_until(lambda: all(one.status != "pending" for one in last_deliveries(store.place(webhook.id))))
        statuses = {one.type: one.status for one in last_deliveries(store.place(webhook.id))}
        assert statuses == {"job.early_stopping": "given_up", "job.succeeded": "delivered"}


@pytest.mark.both_stores
def test_deleted_and_damaged_jobs_and_webhooks_stop_nothing(run_until, store, volume, grades, new_job):
    with Receiver(lambda _: 500) as down, Receiver() as receiver:
        gone_webhook = put_webhook(store, address=down.url)
        put_webhook(store, address=receiver.url)
        gone, damaged = new_job(), new_job()
        os.mkfifo(damaged.result_file)
        run_until((store.folder / "settled").exists)
        end(volume, gone)
        run_until(lambda: receiver.count_messages() == 2 and down.received)
        volume.remove_job(OpenJob(5, gone.id))
        store.delete(gone_webhook.id)
        end(volume, new_job())
        run_until(lambda: receiver.count_messages() == 4)


def test_a_test_is_sent_when_somebody_asks_and_is_tried_once(run_until, store, volume, grades, new_job):
    with Receiver(lambda number: 204 if number == 0 else 500) as receiver:
        webhook = put_webhook(store, address=receiver.url)
        asked = store.request_test(webhook.id)
        run_until(lambda: receiver.types() == ["test"])
        assert receiver.accepted[0]["webhook-id"] == asked.id
        assert list(store.tests(webhook.id)) == []
        second = store.request_test(webhook.id)

        def status():
            return {one.id: one.status for one in last_deliveries(store.place(webhook.id))}.get(second.id)

        run_until(lambda: status() == "given_up")


def test_a_long_file_is_written_again_and_forgets_nothing_that_could_be_sent_twice(
    run_until, store, volume, grades, new_job, monkeypatch
):
    monkeypatch.setattr(delivery_queue, "_MOST_BYTES", 500)
    monkeypatch.setattr(delivery_queue, "_KEPT_FINISHED", 1)
    with Receiver() as receiver:
        put_webhook(store, address=receiver.url)
        job = new_job()
        for number in range(1, 9):
            lose(job, number)
        run_until(lambda: len(receiver.accepted) == 8)
        end(volume, job)
        run_until(lambda: receiver.types()[-1] == "job.succeeded")
        assert len({one["webhook-id"] for one in receiver.received}) == 10
        assert len(receiver.received) <= 11


def test_facts_are_the_same_at_each_look(volume, grades, new_job):
    job = new_job()
    lose(job, 1)
    first = facts_of(job)
    end(volume, job)
    assert first is not None
    facts, is_over = facts_of(job)
    assert [one.id for one in facts][:1] == [one.id for one in first[0]]
    assert (first[1], is_over) == (False, True)


def test_a_look_reads_no_queued_job_and_lists_no_jobs_while_none_was_made_or_ended(tmp_path, volume, grades, new_job):
    new_job()
    watch = Watch(volume, tmp_path)
    assert [watch.look(0) for _ in range(3)] == [[], [], []]
    volume.jobs.rename(tmp_path / "jobs")
    assert watch.look(0) == []


def test_a_job_that_is_stored_long_after_its_marker_is_found(tmp_path, volume, grades, new_job):
    job = new_job()
    aside = job.path.rename(tmp_path / "aside")
    watch = Watch(volume, tmp_path)
    assert [watch.look(0) for _ in range(3)] == [[], [], []]
    aside.rename(job.path)
    lose(job, 1)
    (seen,) = watch.look(0)
    assert [fact.type for fact in seen.facts] == ["job.worker_lost"]


def test_what_waits_for_a_receiver_is_sent_at_once_when_it_answers_again(tmp_path):
    queue = delivery_queue.DeliveryQueue(tmp_path, lambda _: False, first_wait_seconds=1000.0)
    silent, broken, refused, taken = (
        Delivery(id=name, type="job.failed", job=name, body={}, created_at=utc_now()) for name in "abcd"
    )
    queue.add([silent, broken, refused, taken])
    queue.record(silent, None, "no answer")
    queue.record(broken, 500, "answered 500")
    queue.record(refused, 404, "answered 404")
    queue.record(taken, 204, None)
    for expected in (silent, broken):
        found, wait = queue.next()
        assert (found and found.id, wait) == (expected.id, 0.0)
        queue.record(found, 204, None)
    found, wait = queue.next()
    assert (found and found.id, wait > 900) == (refused.id, True)
    queue.close()
