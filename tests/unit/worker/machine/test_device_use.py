"""What a worker tells of its GPU's use, by a driver's library that answers as NVIDIA's does."""

import sys
from types import SimpleNamespace

import pytest

from shared.worker_card import GpuUse
from worker.machine.device import device_use


class DriverError(Exception):
    pass


@pytest.fixture
def driver(monkeypatch):
    """A driver of two GPUs; `fault`, where it is set, is what it answers instead."""
    state = SimpleNamespace(fault=None, asked=[])

    def handle(index):
        state.asked.append(index)
        if state.fault:
            raise state.fault
        return index

    library = SimpleNamespace(
        NVMLError=DriverError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(used=61 * 10**9, total=141 * 10**9, free=80 * 10**9),
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=83, memory=40),
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return state


def test_the_use_of_the_first_gpu_that_the_worker_may_use_is_told(driver, monkeypatch):
    assert device_use() == GpuUse(used_percent=83, used_bytes=61 * 10**9, total_bytes=141 * 10**9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    device_use()
    assert driver.asked == [0, 1]


def test_on_a_cpu_and_by_a_driver_that_does_not_answer_nothing_is_told(driver, monkeypatch):
    driver.fault = DriverError("GPU is lost")
    assert device_use() is None
    driver.fault = None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert device_use() is None
