"""The GPUs of a worker, and which of them each slot has."""

import os
from collections.abc import Iterable, Sequence

from shared.worker_card import Gpu
from worker.machine.device import DeviceUnusable, device_name
from worker.machine.gpu_use import GpuMeter


def visible_cards() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none on a CPU. Raises DeviceUnusable."""
    if device_name().startswith("CPU"):
        return ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = tuple(name.strip() for name in visible.split(",") if name.strip())
    return named or tuple(map(str, range(_count())))


def cards_of_slot(cards: Sequence[str], slot: int, each: int) -> tuple[str, ...]:
    """The GPUs of a slot that has `each` of them. If there are too few for all slots, several slots share a GPU."""
    return tuple(cards[(slot * each + number) % len(cards)] for number in range(each)) if cards else ()


def cards_of_slots(cards: Sequence[str], slots: Iterable[int], each: int) -> tuple[str, ...]:
    """The GPUs of several slots, each GPU once."""
    return tuple(dict.fromkeys(card for slot in slots for card in cards_of_slot(cards, slot, each)))


def count_devices(cards: Sequence[str], slots: Sequence[int], each: int) -> int:
    """Count the devices on which these slots together can train one job. On a CPU, each slot has `each` devices."""
    return len(cards_of_slots(cards, slots, each)) if cards else len(slots) * each


def choose_slots(cards: Sequence[str], slots: Sequence[int], each: int, devices: int) -> tuple[int, ...]:
    """The first slots that together have this number of devices, without slots that add none."""
    chosen: tuple[int, ...] = ()
    for slot in slots:
        more = (*chosen, slot)
        had = count_devices(cards, chosen, each)
        if had < devices and count_devices(cards, more, each) > had:
            chosen = more
    return chosen


def card_environment(cards: Sequence[str]) -> dict[str, str]:
    """The environment variables with which a process sees only these GPUs, in this order; empty on a CPU."""
    # By default, the fastest GPU has number 0 in CUDA. NVIDIA's library and `nvidia-smi` number by the bus.
    return {"CUDA_VISIBLE_DEVICES": ",".join(cards), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if cards else {}


def describe_cards(cards: Sequence[str], slots: int, each: int) -> tuple[Gpu, ...]:
    """Each GPU that a slot has, with its utilization and memory."""
    held: dict[str, list[int]] = {}
    for slot in range(slots):
        for card in dict.fromkeys(cards_of_slot(cards, slot, each)):
            held.setdefault(card, []).append(slot)
    return tuple(_describe(card, tuple(of_slots)) for card, of_slots in held.items())


def _describe(card: str, slots: tuple[int, ...]) -> Gpu:
    with GpuMeter(card) as meter:
        sample = meter.read()
        return Gpu(
            card=card,
            name=meter.name,
            slots=slots,
            used_percent=None if sample.percent is None else round(sample.percent),
            used_bytes=sample.memory_bytes,
            total_bytes=meter.memory_bytes,
        )


def _count() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
        found = int(pynvml.nvmlDeviceGetCount())
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise DeviceUnusable(f"NVIDIA's driver does not count its GPUs ({error}); `nvidia-smi` shows it too") from error
    return found
