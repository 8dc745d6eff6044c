"""A short version of the proof that webhooks get every event, whatever is killed."""

import time
from pathlib import Path

from api.state.state_folder import open_state_folder
from api.state.webhook_store import WebhookStore
from api.webhooks.sender import LOOK_SECONDS
from proofs.webhooks import SenderProcess, prove
from shared.job import Ending
from shared.open_job import OpenJob
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset, put_job, small_spec
from tests.support.waiting import wait_for
from tests.support.webhooks import Receiver, put_webhook


def test_every_event_arrives_in_order_while_the_api_the_sender_and_redis_are_killed(tmp_path: Path) -> None:
    assert prove(tmp_path, jobs=6, kills=5, seed=3, long_hang=1.5) == []


def is_ready(sender: SenderProcess) -> bool:
    """Whether the process has the lock's file open."""
    assert sender.process is not None
    try:
        return any(one.readlink().name == "lock" for one in Path(f"/proc/{sender.process.pid}/fd").iterdir())
    except OSError:
        return False  # a file was closed meanwhile


def test_one_of_two_senders_sends_and_the_other_takes_over_when_it_is_killed(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "volume")
    put_dataset(volume, learnable_frame())
    store = WebhookStore(open_state_folder(Settings(volume=volume.root)))
    senders = [SenderProcess(volume, tmp_path / f"{number}.log") for number in range(2)]
    with Receiver() as receiver:
        put_webhook(store, address=receiver.url)

        def end_jobs() -> set[str]:
            jobs = [put_job(volume, small_spec()) for _ in range(3)]
            for job in jobs:
                job.settle(Ending(status="cancelled"), None)
                volume.close_job(OpenJob(5, job.id))
            return {f"{job.id}-cancelled" for job in jobs}

        def has(wanted: set[str]) -> bool:
            return wanted <= {one["webhook-id"] for one in receiver.accepted}

        try:
            for sender in senders:
                sender.start()
            wait_for(lambda: all(is_ready(sender) for sender in senders), saying="both wait for the lock or hold it")
            for _ in range(3):
                wanted = end_jobs()
                wait_for(lambda wanted=wanted: has(wanted), saying="one sends")  # type: ignore[misc]
                time.sleep(LOOK_SECONDS)  # in which the other would send, too
            assert len(receiver.accepted) == 9
            for sender in senders:
                wanted = end_jobs()
                wait_for(lambda wanted=wanted: has(wanted), saying="one sends")  # type: ignore[misc]
                sender.kill()
                sender.start()
            wanted = end_jobs()
            wait_for(lambda: has(wanted), saying="the other has taken over")
        finally:
            for sender in senders:
                sender.kill()
