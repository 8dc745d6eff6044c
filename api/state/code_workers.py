"""Which workers run programs. A worker that allows no code leaves them to others."""

from collections.abc import Iterable

from shared.times import seconds_since
from shared.worker_card import WorkerCard


def explain_no_programs(cards: Iterable[WorkerCard], lost_after_seconds: float) -> str:
    """Why none of the workers that are there takes a program; empty where one does, and where there is none."""
    alive = [card for card in cards if seconds_since(card.seen_at) <= lost_after_seconds]
    if not alive or any(card.programs != "no" for card in alive):
        return ""
    reasons = dict.fromkeys(f"{card.host}: {card.no_programs or 'too old for programs'}" for card in alive)
    return f"no worker runs programs ({'; '.join(reasons)}); set FITSTOP_ALLOW_CODE=boxed for one"
