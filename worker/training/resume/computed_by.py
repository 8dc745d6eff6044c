"""What computes a run's numbers: other libraries, or another processor, may change their last bits."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import tensorflow as tf

_LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "numpy")
_CPU_INFO = Path("/proc/cpuinfo")
# The names in /proc/cpuinfo, of x86 and of ARM, that identify a type of processor.
_TYPE = ("vendor_id", "cpu family", "model", "model name", "CPU implementer", "CPU part")
# The CPU features for which TensorFlow, oneDNN, Eigen and OpenBLAS have special kernels.
_KERNELS = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "sve", "bf16", "i8mm")


def computed_by() -> dict[str, str]:
    """The versions of the libraries, the processor and the device, by the names that a resume point uses."""
    found = {name.removesuffix("-cpu"): number for name in _LIBRARIES if (number := _version(name))}
    return {**found, "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"), **_processor(), "device": _device()}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Describe what has changed. A fact that a point of an older version lacks counts as unchanged."""
    return [
        _change(name, value, now.get(name, "none")) for name, value in before.items() if now.get(name, "none") != value
    ]


def _change(name: str, before: str, now: str) -> str:
    if name != "cpu_features":
        return f"{name}: {before} before, {now} now"
    lost, gained = set(before.split()) - set(now.split()), set(now.split()) - set(before.split())
    return f"CPU features lost: {' '.join(sorted(lost)) or 'none'}, gained: {' '.join(sorted(gained)) or 'none'}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> dict[str, str]:
    try:
        lines = _CPU_INFO.read_text().split("\n\n", 1)[0].splitlines()
    except OSError:
        return {"cpu": f"{platform.machine()} {platform.processor()}".strip()}
    pairs = (line.partition(":") for line in lines)
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    flags = facts.get("flags", facts.get("Features", "")).split()
    kind = [platform.machine(), *(facts[name] for name in _TYPE if name in facts)]
    return {
        "cpu": " ".join(kind),
        "cpu_features": " ".join(sorted(flag for flag in flags if flag.startswith(_KERNELS))),
    }


def _device() -> str:
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return "CPU"
    return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU"))
