"""Which workers hold enough devices for a job that trains on several."""

from collections.abc import Iterable

from shared.times import seconds_since
from shared.worker_card import WorkerCard


def explain_too_few_devices(devices: int, cards: Iterable[WorkerCard], lost_after_seconds: float) -> str:
    """Why none of the workers that are there takes a job on so many devices; empty where one does, or none is there."""
    alive = [card for card in cards if seconds_since(card.seen_at) <= lost_after_seconds]
    most = max((card.slot_devices for card in alive), default=devices)
    if most >= devices:
        return ""
    return (
        f"no worker has {devices} devices in one slot (at most {most}); "
        f"start one with FITSTOP_SLOT_DEVICES={devices}, or post the job with fewer devices"
    )
