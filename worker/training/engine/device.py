"""Configures TensorFlow for a run before its context exists: threads, XLA flags, memory."""

import ctypes
import os
from pathlib import Path

import tensorflow as tf

from shared.job import EnginePlan
from worker.training.engine.kept import use_kept_programs

# With XLA's newer CPU code, random numbers (Dropout) take 18 times longer. Dense networks without Dropout are as fast.
_XLA_CPU_FLAGS = "--xla_cpu_use_fusion_emitters=false"
# Options of glibc's mallopt(3): free bytes to keep at the end of the heap, and maximum blocks with their own mapping.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST_INT = 2**31 - 1
_SHARE_FOR_DATA = 0.25
_UNKNOWN_FREE_BYTES = 4 * 1024**3


def prepare_tensorflow(plan: EnginePlan) -> None:
    """Configure TensorFlow as the plan says. A process whose context exists, as in a test, keeps its settings."""
    _keep_freed_memory()
    if plan.xla and _XLA_CPU_FLAGS not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{_XLA_CPU_FLAGS} {os.environ.get('XLA_FLAGS', '')}".strip()
    # Not for the stock engine, which compiles during `fit`, after the programs were stored.
    if plan.xla and plan.engine == "fused":
        use_kept_programs(plan.threads)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not plan.rewrites_graphs})
    try:
        tf.config.threading.set_intra_op_parallelism_threads(plan.threads)
        if plan.engine == "fused":
            tf.config.threading.set_inter_op_parallelism_threads(1)
        gpus = tf.config.list_physical_devices("GPU")
        if plan.devices > 1 and not gpus:
            _divide_cpu(plan.devices)
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, enable=True)
    except RuntimeError:
        return


def _divide_cpu(devices: int) -> None:
    """Divide the CPU into virtual devices, so that a job trains on them as on several GPUs."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)


def _keep_freed_memory() -> None:
    """Make this process reuse freed memory instead of returning it to the system; no effect without glibc.

    A compiled program returns a large model's state in new memory. If it is mapped again, each page costs a page fault.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _MOST_INT)


def data_bytes(asked: int) -> int:
    """Maximum bytes of data on the device: `asked`, or a quarter of the device's free memory if `asked` is 0."""
    return asked or int(_free_bytes() * _SHARE_FOR_DATA)


def _free_bytes() -> int:
    if not tf.config.list_physical_devices("GPU"):
        return _free_host_bytes()
    import pynvml

    pynvml.nvmlInit()
    try:
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        index = int(first) if first.isdecimal() else 0
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index)).free)
    finally:
        pynvml.nvmlShutdown()


def _free_host_bytes() -> int:
    """Free bytes of the machine's memory, or of this container's if that is less."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:  # not Linux
        return _UNKNOWN_FREE_BYTES
    free = int(fields["MemAvailable"].split()[0]) * 1024
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, max(0, int(limit) - used)) if limit.isdecimal() else free
