"""What a worker reports of its GPU, by a driver's library that answers as NVIDIA's does."""

import pytest

from shared.worker_card import GpuUse
from tests.support.nvml import Gpu, driver_of
from worker.machine.device import DeviceUnusable, device_name, device_use


@pytest.fixture(autouse=True)
def _every_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "name", "percent"),
    [(None, "L4", 83), ("1,0", "H200", 7), ("GPU-b", "H200", 7), ("GPU-b,GPU-a", "H200", 7), (" 1", "H200", 7)],
)
def test_the_first_gpu_that_the_worker_may_use_is_reported(monkeypatch, visible, name, percent):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with driver_of(Gpu("GPU-a", name="L4"), Gpu("GPU-b", name="H200", percent=7)):
        assert device_name() == name
        assert device_use() == GpuUse(used_percent=percent, used_bytes=61 * 10**9, total_bytes=141 * 10**9)


@pytest.mark.parametrize("visible", ["-1", "", "GPU-unknown"])
def test_a_worker_that_may_use_no_gpu_is_on_the_cpu(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with driver_of():
        assert device_name().startswith("CPU")
        assert device_use() is None


def test_a_gpu_that_is_lost_has_no_use_and_is_an_error():
    with driver_of(Gpu("GPU-a", is_lost=True)):
        assert device_use() is None
        with pytest.raises(DeviceUnusable, match="CUDA_VISIBLE_DEVICES=-1"):
            device_name()


def test_on_the_cpu_no_driver_is_asked(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with driver_of(Gpu("GPU-a", is_lost=True)):
        assert device_name().startswith("CPU")
