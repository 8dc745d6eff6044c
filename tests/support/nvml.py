"""A fake of `nvidia-ml-py`, for machines without a GPU: the functions that the worker calls.

It does not replay recorded answers: it has GPUs with a state, counts initializations as the driver does, and refuses
what the driver refuses, with the binding's own errors. A test compares its functions with those of the binding.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pynvml as binding

FUNCTIONS = (
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTemperature",
)


@dataclass
class Gpu:
    """One GPU. A value is None if this card does not report it."""

    uuid: str
    name: str = "NVIDIA H200"
    total: int = 141 * 10**9
    used: int = 61 * 10**9
    percent: int | None = 83
    milliwatts: int | None = 612_500
    celsius: int | None = 64
    is_lost: bool = False


@dataclass
class Driver:
    """A driver with its GPUs. If `is_broken`, it does not start."""

    gpus: list[Gpu] = field(default_factory=lambda: [Gpu("GPU-aaaa"), Gpu("GPU-bbbb", percent=7)])
    is_broken: bool = False
    starts: int = 0
    NVMLError = binding.NVMLError
    NVMLError_LibraryNotFound = binding.NVMLError_LibraryNotFound
    NVMLError_DriverNotLoaded = binding.NVMLError_DriverNotLoaded
    NVMLError_NotFound = binding.NVMLError_NotFound
    NVML_TEMPERATURE_GPU = binding.NVML_TEMPERATURE_GPU

    def nvmlInit(self) -> None:
        if self.is_broken:
            raise binding.NVMLError(binding.NVML_ERROR_LIBRARY_NOT_FOUND)
        self.starts += 1

    def nvmlShutdown(self) -> None:
        self._check_started()
        self.starts -= 1

    def nvmlDeviceGetCount(self) -> int:
        self._check_started()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        self._check_started()
        if not 0 <= index < len(self.gpus):
            raise binding.NVMLError(binding.NVML_ERROR_INVALID_ARGUMENT)
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Gpu:
        self._check_started()
        found = [gpu for gpu in self.gpus if gpu.uuid == uuid]
        if not found:
            raise binding.NVMLError(binding.NVML_ERROR_NOT_FOUND)
        return found[0]

    def nvmlDeviceGetName(self, handle: Gpu) -> str:
        return str(self._asked(handle, handle.name))

    def nvmlDeviceGetMemoryInfo(self, handle: Gpu, version: Any = None) -> Any:
        free = handle.total - handle.used
        return self._asked(handle, SimpleNamespace(total=handle.total, used=handle.used, free=free))

    def nvmlDeviceGetUtilizationRates(self, handle: Gpu) -> Any:
        return SimpleNamespace(gpu=self._asked(handle, handle.percent), memory=0)

    def nvmlDeviceGetPowerUsage(self, handle: Gpu) -> int:
        return int(self._asked(handle, handle.milliwatts))

    def nvmlDeviceGetTemperature(self, handle: Gpu, sensor: int) -> int:
        assert sensor == binding.NVML_TEMPERATURE_GPU
        return int(self._asked(handle, handle.celsius))

    def _asked(self, gpu: Gpu, value: Any) -> Any:
        self._check_started()
        if gpu.is_lost:
            raise binding.NVMLError(binding.NVML_ERROR_GPU_IS_LOST)
        if value is None:
            raise binding.NVMLError(binding.NVML_ERROR_NOT_SUPPORTED)
        return value

    def _check_started(self) -> None:
        if not self.starts:
            raise binding.NVMLError(binding.NVML_ERROR_UNINITIALIZED)


@contextmanager
def driver_of(*gpus: Gpu) -> Iterator[Driver]:
    """Make `import pynvml` find a driver with these GPUs, by default with two."""
    driver = Driver(list(gpus)) if gpus else Driver()
    with patch.dict(sys.modules, pynvml=driver):
        yield driver
