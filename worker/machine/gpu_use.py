"""Current use of a GPU, from NVIDIA's own library (NVML) and its binding nvidia-ml-py.

Every value may be missing: a GPU that is divided (MIG) reports no utilization, others no power. That is not an error.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self


@dataclass(frozen=True)
class GpuSample:
    """The state of a GPU at one moment: per cent of time in use, used memory, power, temperature."""

    percent: float | None = None
    memory_bytes: int | None = None
    watts: float | None = None
    celsius: float | None = None


_NOTHING = GpuSample()


class GpuMeter:
    """Reads a GPU while the context is open, during which the library stays loaded: loading takes longer than reading.

    `card`: the GPU's number or UUID, as CUDA names it; by default the first that this process may use. Without a GPU,
    `name`, `memory_bytes` and all values are None.
    """

    def __init__(self, card: str | None = None) -> None:
        self._card = find_first_gpu() if card is None else card
        self.name: str | None = None
        self.memory_bytes: int | None = None
        self._library: ModuleType | None = None
        self._handle: Any = None

    def __enter__(self) -> Self:
        try:
            import pynvml
        except ImportError:
            return self
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return self
        self._library = pynvml
        if (card := self._card) is not None:
            self._handle = self._ask(lambda nvml: find_handle(nvml, card))
        if self._handle is not None:
            self.name = self._ask(lambda nvml: str(nvml.nvmlDeviceGetName(self._handle)))
            self.memory_bytes = self._ask(lambda nvml: int(nvml.nvmlDeviceGetMemoryInfo(self._handle).total))
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(lambda nvml: nvml.nvmlShutdown())
        self._library = None

    def read(self) -> GpuSample:
        """The GPU's state now; values that the driver does not report are None."""
        handle = self._handle
        if handle is None:
            return _NOTHING
        return GpuSample(
            percent=self._ask(lambda nvml: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
            memory_bytes=self._ask(lambda nvml: int(nvml.nvmlDeviceGetMemoryInfo(handle).used)),
            watts=self._ask(lambda nvml: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
            celsius=self._ask(lambda nvml: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
        )

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Ask the library; None if it raises an error."""
        if self._library is None:
            return None
        try:
            return question(self._library)
        except self._library.NVMLError:
            return None


def find_first_gpu() -> str | None:
    """The number or UUID of the first GPU in CUDA_VISIBLE_DEVICES; None if it names none, as -1."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return first if first.isdecimal() or first.startswith(("GPU-", "MIG-")) else None


def find_handle(nvml: Any, gpu: str) -> Any:
    """NVML's handle of a GPU by its number or UUID. Raises NVMLError if the driver does not have it."""
    if gpu.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(gpu))
    return nvml.nvmlDeviceGetHandleByUUID(gpu)
