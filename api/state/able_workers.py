"""The workers that can run a job: they have enough devices and, for a job with a program, may run programs."""

from collections.abc import Iterable
from typing import Literal

from shared.spec import JobSpec, ProgramJobSpec
from shared.times import seconds_since
from shared.worker_card import WorkerCard

Unable = Literal["no_code_worker", "too_few_devices"]


def able_workers(spec: JobSpec | ProgramJobSpec, cards: Iterable[WorkerCard]) -> list[WorkerCard]:
    """The workers that can run a job with this spec."""
    enough = [card for card in cards if card.widest >= spec.devices]
    return [card for card in enough if card.programs != "no"] if isinstance(spec, ProgramJobSpec) else enough


def explain_unable(
    spec: JobSpec | ProgramJobSpec, cards: Iterable[WorkerCard], lost_after_seconds: float
) -> tuple[Unable, str] | None:
    """The code and the reason why no live worker can ever run such a job; None if one can, or if no worker is live."""
    alive = [card for card in cards if seconds_since(card.seen_at) <= lost_after_seconds]
    if not alive or able_workers(spec, alive):
        return None
    if isinstance(spec, ProgramJobSpec):
        return "no_code_worker", _explain_no_programs(alive)
    return "too_few_devices", _explain_too_few_devices(spec.devices, alive)


def _explain_no_programs(alive: list[WorkerCard]) -> str:
    reasons = dict.fromkeys(f"{card.host}: {card.no_programs or 'too old for programs'}" for card in alive)
    return f"no worker runs programs ({'; '.join(reasons)}); set FITSTOP_ALLOW_CODE=boxed for one"


def _explain_too_few_devices(devices: int, alive: list[WorkerCard]) -> str:
    return (
        f"no worker has {devices} devices (at most {max(card.widest for card in alive)}); "
        f"start one with FITSTOP_SLOT_DEVICES={devices}, or post the job with fewer devices"
    )
