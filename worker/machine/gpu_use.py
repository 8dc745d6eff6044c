"""Current use of a GPU, from NVIDIA's own library (NVML) and its binding nvidia-ml-py.

Every value may be missing: a card that is split (MIG) reports no utilisation, others no power. None of it is an error.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self


@dataclass(frozen=True)
class GpuSample:
    """One moment: per cent of the time in which the GPU computed, its used memory, power, temperature."""

    percent: float | None = None
    memory_bytes: int | None = None
    watts: float | None = None
    celsius: float | None = None


_NOTHING = GpuSample()


class GpuMeter:
    """Reads a GPU while the context is open, the first that this process may use by default; nothing where it has none.

    `card`: its name for CUDA, a number or a UUID.
    `name` and `memory_bytes` are None there. The library stays loaded meanwhile: to load it takes longer than to ask.
    """

    def __init__(self, card: str | None = None) -> None:
        self._card = os.environ.get("CUDA_VISIBLE_DEVICES") if card is None else card
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
        self._handle = self._ask(lambda nvml: _find(nvml, self._card))
        if self._handle is not None:
            self.name = self._ask(lambda nvml: str(nvml.nvmlDeviceGetName(self._handle)))
            self.memory_bytes = self._ask(lambda nvml: int(nvml.nvmlDeviceGetMemoryInfo(self._handle).total))
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(lambda nvml: nvml.nvmlShutdown())
        self._library = None

    def read(self) -> GpuSample:
        """The GPU at this moment; what the driver does not say is None."""
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
        """The answer; None where the driver has none."""
        if self._library is None:
            return None
        try:
            return question(self._library)
        except self._library.NVMLError:
            return None


def _find(nvml: Any, visible: str | None) -> Any:
    """The first GPU of CUDA_VISIBLE_DEVICES, which names it by number or by UUID; None where that names none."""
    first = "0" if visible is None else visible.split(",")[0].strip()
    if first.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    return nvml.nvmlDeviceGetHandleByUUID(first) if first.startswith(("GPU-", "MIG-")) else None
