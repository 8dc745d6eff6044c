"""Identifies the compiler: everything that decides which machine code XLA makes, and whether this machine can run it.

The packages are not imported. They are identified by their RECORD, the list of their files with a digest of each.
"""

import hashlib
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

# TensorFlow brings XLA and LLVM; NVIDIA's wheels bring the assembler, cuDNN and cuBLAS.
_PACKAGES = re.compile(r"(tensorflow|keras|jaxlib|nvidia)($|[-_])", re.IGNORECASE)
_CPU_INFO = Path("/proc/cpuinfo")
_OF_CPU = re.compile(
    r"(vendor_id|cpu family|model|model name|stepping|flags|CPU implementer|CPU architecture|CPU variant|CPU part|"
    r"CPU revision|Features)\s*:.*"
)


def identify_compiler() -> str | None:
    """A digest of the compiler's packages, the CPU's features, the GPUs and their driver; None if one is unknown.

    It does not contain flags in the environment, which each training process adds.
    """
    packages, cpu, gpus = _packages(), _cpu(), _gpus()
    if not packages or cpu is None or gpus is None:
        return None
    if gpus and not any("cudnn" in name for name, _, _ in packages):
        return None  # CUDA's libraries belong to the system, and may change unnoticed
    return hashlib.sha256(repr((packages, cpu, gpus)).encode()).hexdigest()


def _packages() -> list[tuple[str, str, str]] | None:
    """Name, version and digest of the RECORD of each package; None if one has no RECORD."""
    found = [one for one in distributions() if _PACKAGES.match(one.metadata["Name"] or "")]
    listed = sorted((one.metadata["Name"], one.version, _digest_of_files(one)) for one in found)
    return listed if all(digest for _, _, digest in listed) else None


def _digest_of_files(package: Distribution) -> str:
    record = package.read_text("RECORD")
    return hashlib.sha256(record.encode()).hexdigest() if record else ""


def _cpu() -> list[str] | None:
    """The kernel's description of each kind of core; None if it does not list their features."""
    try:
        lines = {line for line in _CPU_INFO.read_text().splitlines() if _OF_CPU.fullmatch(line)}
    except OSError:
        return None
    return sorted(lines) if any(line.startswith(("flags", "Features")) for line in lines) else None


def _gpus() -> list[str] | None:
    """The driver's version, and the name and compute capability of each GPU; None if the driver does not answer."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        cards = [f"{pynvml.nvmlDeviceGetName(one)} {pynvml.nvmlDeviceGetCudaComputeCapability(one)}" for one in handles]
        pynvml.nvmlShutdown()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded, pynvml.NVMLError_NotFound):
        return []
    except pynvml.NVMLError:
        return None
    return [driver, *cards] if cards else []
