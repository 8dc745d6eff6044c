"""What this worker trains on, as people call it. NVIDIA's own library is asked, so that no CUDA context is made."""

import os
import platform


def device_name() -> str:
    """The name of the first GPU that this process may use, such as `NVIDIA H200`; else `CPU`."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and (not visible.strip() or visible.strip() == "-1"):
        return _cpu()
    first = visible.split(",")[0].strip() if visible else "0"
    return _gpu(int(first)) if first.isdecimal() else _gpu(0)


def device_is_well(name: str) -> bool:
    """Whether the device that a worker started with is still there: a container can lose its GPU for good."""
    return name.startswith("CPU") or device_name() == name


def _gpu(index: int) -> str:
    try:
        import pynvml
    except ImportError:
        return _cpu()
    try:
        pynvml.nvmlInit()
        name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index))
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return _cpu()
    return str(name)


def _cpu() -> str:
    return f"CPU ({platform.machine()})"
