"""Events of sweeps: each new best trial and each end, once, also after a restart and an extension."""

from api.state.webhook_store import EVENT_TYPES
from shared.sweep.folder import Extension
from shared.times import utc_now
from tests.support.past_sweeps import end_trial, running_sweep
from tests.support.webhooks import Receiver, put_webhook


def keys(receiver, folder):
    """Return each accepted id once; after a kill between an answer and its record, an event is sent again."""
    return list(dict.fromkeys(one["webhook-id"].removeprefix(f"{folder.id}-") for one in receiver.accepted))


def test_each_new_best_trial_and_the_end_are_sent_once_and_in_order(run_until, store, volume, grades):
    folder = running_sweep(volume, (0.5, 0.6))
    with Receiver() as receiver, Receiver() as foreign:
        put_webhook(store, address=receiver.url, events=("sweep.best", "sweep.finished"))
        put_webhook(store, address=foreign.url, project="other")
        run_until(lambda: keys(receiver, folder) == ["best-1", "best-2"])
        end_trial(volume, folder, 4, 0.55, "epochs_completed")
        end_trial(volume, folder, 5, 0.7, "epochs_completed")
        folder.end("completed", "all 5 trials have ended")
        wanted = ["best-1", "best-2", "best-5", "finished"]
        run_until(lambda: keys(receiver, folder) == wanted)
        run_until(lambda: (store.folder / "settled_sweeps").read_text() == f"{folder.id} 0\n")
        best, end = receiver.accepted[-2]["data"], receiver.accepted[-1]["data"]
        assert (best["id"], best["status"], best["message"]) == (
            folder.id, "running", "Trial 5 is the best so far: val_accuracy 0.7"
        )  # fmt: skip
        assert (best["best"]["trial"], best["best"]["value"], best["best"]["epoch"]) == (5, 0.7, 3)
        assert best["best"]["job"] == folder.trial(5).job
        assert (end["status"], end["best"]["trial"]) == ("succeeded", 5)
        assert "all 5 trials have ended" in end["message"]
        folder.extend(1, Extension(extended_at=utc_now(), trials=9, budget=None))
        end_trial(volume, folder, 6, 0.8, "epochs_completed")
        folder.end("completed", "all 6 trials have ended", 1)
        run_until(lambda: keys(receiver, folder) == [*wanted, "best-6", "finished-1"])
        assert foreign.received == []


def test_a_sweep_that_ended_before_the_webhook_is_settled_unread(run_until, store, volume, grades):
    folder = running_sweep(volume)
    folder.end("completed", "all trials have ended")
    record = folder.record_file.read_bytes()
    folder.record_file.write_text("{")
    with Receiver() as receiver:
        put_webhook(store, address=receiver.url, events=EVENT_TYPES, since_ns=2**62)
        settled = store.folder / "settled_sweeps"
        run_until(lambda: settled.exists() and settled.read_text() == f"{folder.id} 0\n")
        folder.record_file.write_bytes(record)
        assert receiver.received == []
