"""A short version of the proof that webhooks get every event, whatever is killed."""

from pathlib import Path

from proofs.webhooks import prove


def test_every_event_arrives_in_order_while_the_api_the_sender_and_redis_are_killed(tmp_path: Path) -> None:
    assert prove(tmp_path, jobs=6, kills=5, seed=3, long_hang=1.5) == []
