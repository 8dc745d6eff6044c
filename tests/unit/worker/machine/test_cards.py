"""Which GPUs each slot of a worker holds, and which of them a job's process sees."""

import pytest

from tests.support.nvml import Gpu, driver_of
from worker.machine.cards import (
    card_environment,
    cards_of_slot,
    choose_slots,
    count_devices,
    describe_cards,
    visible_cards,
)
from worker.machine.device import DeviceUnusable


@pytest.mark.parametrize(
    ("cards", "slots", "each", "held"),
    [
        ("0123", 4, 1, ["0", "1", "2", "3"]),
        ("0123", 2, 2, ["01", "23"]),
        ("0", 2, 1, ["0", "0"]),
        ("012", 2, 2, ["01", "20"]),
        ("", 2, 2, ["", ""]),
    ],
)
def test_each_slot_holds_cards_of_its_own_while_there_are_enough(cards, slots, each, held):
    assert ["".join(cards_of_slot(cards, slot, each)) for slot in range(slots)] == held


@pytest.mark.parametrize(
    ("cards", "each", "free", "devices", "chosen"),
    [
        ("0123", 1, (1, 2, 3), 2, (1, 2)),
        ("01", 1, (0, 2, 3), 2, (0, 3)),
        ("0123", 2, (0, 1), 2, (0,)),
        ("012", 2, (0, 1), 3, (0, 1)),
        ("", 2, (1, 3), 4, (1, 3)),
    ],
)
def test_a_job_takes_as_many_free_slots_as_hold_different_cards_for_it(cards, each, free, devices, chosen):
    assert choose_slots(cards, free, each, devices) == chosen
    assert count_devices(cards, chosen, each) >= devices


def test_a_job_sees_its_own_cards_alone_and_on_a_cpu_the_variables_stay():
    assert card_environment(["2", "3"]) == {"CUDA_VISIBLE_DEVICES": "2,3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert card_environment([]) == {}


def test_all_cards_of_the_machine_are_seen_or_those_that_are_named(monkeypatch):
    with driver_of(Gpu("GPU-a"), Gpu("GPU-b")):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert visible_cards() == ("0", "1")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert visible_cards() == ("1",)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        assert visible_cards() == ()


def test_each_card_is_described_with_its_slots():
    with driver_of(Gpu("GPU-a"), Gpu("GPU-b")):
        found = describe_cards(("0", "1"), slots=3, each=1)
    assert [(one.card, one.slots) for one in found] == [("0", (0, 2)), ("1", (1,))]
    assert all(one.name and one.total_bytes for one in found)


def test_a_driver_that_is_gone_once_a_gpu_was_found_makes_the_device_unusable(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("worker.machine.cards.device_name", lambda: "NVIDIA H200")
    with pytest.raises(DeviceUnusable, match="does not count"):
        visible_cards()
