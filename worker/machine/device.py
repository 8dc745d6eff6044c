"""The name and the use of this worker's device, from NVIDIA's own library, which creates no CUDA context."""

import os
import platform

from shared.problems import FitstopError
from shared.worker_card import GpuUse


class DeviceUnusable(FitstopError):
    """There is a GPU, but its driver does not answer: the container or the bus has lost it."""

    code = "device_unusable"


def device_name() -> str:
    """The name of the first GPU that this process may use, such as `NVIDIA H200`; else `CPU`. Raises DeviceUnusable."""
    index = _first_index()
    return _cpu() if index is None else _gpu(index)


def device_use() -> GpuUse | None:
    """Utilization and memory of the first GPU, by all processes; None on a CPU, or if the driver does not report it."""
    index = _first_index()
    if index is None:
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory, rates = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetUtilizationRates(handle)
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
    return GpuUse(used_percent=int(rates.gpu), used_bytes=int(memory.used), total_bytes=int(memory.total))


def _first_index() -> int | None:
    """The index of the first GPU that this process may use; None if it may use none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and (not visible.strip() or visible.strip() == "-1"):
        return None
    first = visible.split(",")[0].strip() if visible else "0"
    return int(first) if first.isdecimal() else 0


def device_is_well(name: str) -> bool:
    """Whether the device that a worker started with is still there: a container can lose its GPU for good."""
    try:
        return name.startswith("CPU") or device_name() == name
    except DeviceUnusable:
        return False


def _gpu(index: int) -> str:
    try:
        import pynvml
    except ImportError:
        return _cpu()
    # The errors of a machine without a GPU. Any other error means that there is a GPU that does not work.
    none = (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded, pynvml.NVMLError_NotFound)
    try:
        pynvml.nvmlInit()
        if pynvml.nvmlDeviceGetCount() == 0:
            return _cpu()
        name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index))
        pynvml.nvmlShutdown()
    except none:
        return _cpu()
    except pynvml.NVMLError as error:
        raise DeviceUnusable(
            f"NVIDIA's driver does not answer for GPU {index} ({error}); `nvidia-smi` shows it too. A container that "
            "lost its GPU must be restarted (nvidia-container-toolkit#48). To train on the CPU instead, set "
            "CUDA_VISIBLE_DEVICES=-1"
        ) from error
    return str(name)


def _cpu() -> str:
    return f"CPU ({platform.machine()})"
