"""What a worker reads from a GPU once a second, through a library with the functions of the binding."""

import inspect
import sys

import pynvml as binding
import pytest

from tests.support.nvml import FUNCTIONS, Driver, Gpu, driver_of
from worker.machine.gpu_use import GpuMeter, GpuSample

H200 = GpuSample(percent=83, memory_bytes=61 * 10**9, watts=612.5, celsius=64)
NOTHING = GpuSample()


@pytest.fixture(autouse=True)
def _every_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_librarys_functions_take_what_those_of_the_binding_take(name):
    ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (Driver(), binding))
    assert [one.default for one in ours.values()] == [one.default for one in theirs.values()]


def test_all_values_of_a_gpu_are_read_and_the_library_is_given_back():
    with driver_of() as driver:
        with GpuMeter() as gpu:
            assert (gpu.name, gpu.memory_bytes) == ("NVIDIA H200", 141 * 10**9)
            assert gpu.read() == H200
            driver.gpus[0].percent = 12
            assert gpu.read().percent == 12
        assert driver.starts == 0


@pytest.mark.parametrize(
    ("visible", "percent"),
    [("1,0", 7), ("GPU-bbbb", 7), ("GPU-aaaa,GPU-bbbb", 83), ("", None), ("-1", None), ("7", None), ("GPU-x", None)],
)
def test_it_is_the_first_gpu_that_the_worker_may_use(monkeypatch, visible, percent):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with driver_of(), GpuMeter() as gpu:
        assert gpu.read().percent == percent


def test_what_a_split_card_does_not_report_is_missing_and_the_rest_is_there():
    with driver_of(Gpu("GPU-a", percent=None, milliwatts=None)), GpuMeter() as gpu:
        assert gpu.read() == GpuSample(memory_bytes=61 * 10**9, celsius=64)


def test_a_gpu_that_is_lost_meanwhile_has_no_values():
    with driver_of() as driver, GpuMeter() as gpu:
        driver.gpus[0].is_lost = True
        assert gpu.read() == NOTHING


def test_without_a_driver_and_without_the_binding_there_is_nothing(monkeypatch):
    with driver_of() as driver:
        driver.is_broken = True
        with GpuMeter() as gpu:
            assert (gpu.name, gpu.read()) == (None, NOTHING)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with GpuMeter() as gpu:
        assert (gpu.name, gpu.read()) == (None, NOTHING)
