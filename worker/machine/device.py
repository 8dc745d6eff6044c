"""The name and the utilization of this worker's device, from NVIDIA's own library, which creates no CUDA context."""

import platform

from shared.problems import FitstopError
from shared.worker_card import GpuUse
from worker.machine.gpu_use import GpuMeter, find_first_gpu, find_handle


class DeviceUnusable(FitstopError):
    """There is a GPU, but its driver does not answer, because the container or the bus has lost it."""

    code = "device_unusable"


def device_name() -> str:
    """The name of the first GPU that this process may use, such as `NVIDIA H200`; else `CPU`. Raises DeviceUnusable."""
    gpu = find_first_gpu()
    return _cpu() if gpu is None else _gpu(gpu)


def device_use() -> GpuUse | None:
    """Utilization and memory of the first GPU, by all processes; None on a CPU, or if the driver does not report it."""
    with GpuMeter() as gpu:
        now, total = gpu.read(), gpu.memory_bytes
    if now.percent is None or now.memory_bytes is None or total is None:
        return None
    return GpuUse(used_percent=int(now.percent), used_bytes=now.memory_bytes, total_bytes=total)


def device_is_well(name: str) -> bool:
    """Whether the device that a worker started with is still available. A container can lose its GPU permanently."""
    try:
        return name.startswith("CPU") or device_name() == name
    except DeviceUnusable:
        return False


def _gpu(gpu: str) -> str:
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
        name = pynvml.nvmlDeviceGetName(find_handle(pynvml, gpu))
        pynvml.nvmlShutdown()
    except none:
        return _cpu()
    except pynvml.NVMLError as error:
        raise DeviceUnusable(
            f"NVIDIA's driver does not answer for GPU {gpu} ({error}); `nvidia-smi` shows it too. A container that "
            "lost its GPU must be restarted (nvidia-container-toolkit#48). To train on the CPU instead, set "
            "CUDA_VISIBLE_DEVICES=-1"
        ) from error
    return str(name)


def _cpu() -> str:
    return f"CPU ({platform.machine()})"
