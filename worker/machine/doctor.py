"""`python -m worker.machine.doctor`: what this machine can train on, as a JSON list of {name, status, detail, fix}.

This process uses NVIDIA's library. TensorFlow runs in a child process, because a broken driver may crash it.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.machine.device import DeviceUnusable, device_name
from worker.machine.libraries import DRIVERS_OWN, Libraries, check_libraries
from worker.machine.sandbox_trial import SandboxTrial, try_sandbox
from worker.machine.trial import PROGRAM, try_training

# TensorFlow 2.21 has no working code for this compute capability and later ones (tensorflow#89272, #111958).
_FIRST_UNSUPPORTED = (10, 0)
_LEAST_CUDNN = (9, 24)
_LEAST_DRIVER = 525

Finding = dict[str, str]


@dataclass(frozen=True)
class Card:
    """A GPU as its driver describes it; `capability` is its compute capability."""

    name: str
    capability: tuple[int, int]
    driver: str
    free_bytes: int
    total_bytes: int


def main() -> int:
    """Print the findings; the exit status is always 0."""
    print(json.dumps(findings()))  # noqa: T201
    return 0


def findings() -> list[Finding]:
    """Check the sandbox of programs, the GPU and its driver, CUDA's libraries, TensorFlow's code, and training."""
    return [sandbox_finding(try_sandbox()), *_device_findings()]


def sandbox_finding(trial: SandboxTrial) -> Finding:
    """The finding about the sandbox that programs run in."""
    lacks = f"; missing: {'; '.join(trial.lacks)}" if trial.lacks else ""
    if not trial.openings:
        return _finding("program sandbox", "ok", f"closed: {', '.join(trial.layers)}{lacks}")
    fix = (
        "programs need Linux 5.13 or newer with Landlock, and a container of Docker 23 or newer; "
        "FITSTOP_ALLOW_CODE=unboxed runs them with all rights of the worker"
    )
    return _finding("program sandbox", "warning", f"open: {trial.openings}", fix)


def _device_findings() -> list[Finding]:
    try:
        name = device_name()
    except DeviceUnusable as error:
        return [_finding("GPU", "problem", str(error), "start the machine or the container again")]
    card = None if name.startswith("CPU") else _card()
    found = [gpu_finding(card) if card else _no_gpu(name), *library_findings(check_libraries(), card)]
    trial = try_training("GPU" if card else "CPU")
    return found + (_tensorflow_findings(trial.report, card) if trial.report else [_training_failed(trial.failure)])


def _no_gpu(name: str) -> Finding:
    fix = "for a GPU: NVIDIA's driver on the machine, and `--gpus all` for a container"
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        fix = "CUDA_VISIBLE_DEVICES hides it, if there is one"
    return _finding("GPU", "warning", f"none that can be used; jobs train on the {name}", fix)


def _card() -> Card:
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    card = Card(
        str(pynvml.nvmlDeviceGetName(handle)),
        tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
        str(pynvml.nvmlSystemGetDriverVersion()),
        memory.free,
        memory.total,
    )
    pynvml.nvmlShutdown()
    return card


def gpu_finding(card: Card) -> Finding:
    """The finding about a GPU: whether its driver, its compute capability and its free memory suffice for jobs."""
    detail = (
        f"{card.name}, compute capability {_add_dot(card.capability)}, driver {card.driver}, "
        f"{card.free_bytes / 1e9:.1f} of {card.total_bytes / 1e9:.1f} GB free"
    )
    if int(card.driver.split(".")[0]) < _LEAST_DRIVER:
        fix = f"CUDA 12 needs driver {_LEAST_DRIVER} or newer: update it, or rent another machine"
        return _finding("GPU", "problem", detail, fix)
    if card.capability >= _FIRST_UNSUPPORTED:
        return _finding(
            "GPU", "warning", detail, "TensorFlow 2.21 supports cards up to compute capability 9.0 (H100, H200)"
        )
    if card.free_bytes < 0.8 * card.total_bytes:
        return _finding("GPU", "warning", detail, "another program holds its memory: `nvidia-smi` names it")
    return _finding("GPU", "ok", detail)


def library_findings(libraries: Libraries, card: Card | None) -> list[Finding]:
    """The finding about CUDA's libraries; none with the CPU build of TensorFlow, which has no such libraries."""
    if not libraries.count:
        return []
    detail = f"{libraries.count} files, {libraries.size_bytes / 1e9:.1f} GB"
    theirs = sorted(name for name in libraries.missing if not name.startswith(DRIVERS_OWN))
    if theirs:
        fix = "reinstall 'fitstop[gpu]', and leave LD_LIBRARY_PATH unset"
        needs = f"{theirs[0]}, which {libraries.missing[theirs[0]]} needs"
        return [_finding("CUDA libraries", "problem", f"{detail}; not found: {len(theirs)}, first {needs}", fix)]
    if libraries.missing and card:
        fix = "NVIDIA_DRIVER_CAPABILITIES=compute,utility for the container; `compute` brings it"
        return [
            _finding(
                "CUDA libraries", "problem", f"{detail}; the driver's {_list_libraries(libraries)} is missing", fix
            )
        ]
    if libraries.missing:
        detail += f"; all are found except the driver's {_list_libraries(libraries)}"
    return [_finding("CUDA libraries", "ok", detail)]


def _list_libraries(libraries: Libraries) -> str:
    return ", ".join(sorted(libraries.missing))


def _tensorflow_findings(report: dict[str, Any], card: Card | None) -> list[Finding]:
    found = [code_finding(report["tensorflow"], report["carried"], card)]
    if report["cudnn"] and tuple(int(part) for part in report["cudnn"].split(".")[:2]) < _LEAST_CUDNN:
        fix = "pip install 'nvidia-cudnn-cu12>=9.24': with older ones Conv2D training dies under XLA"
        found.append(_finding("cuDNN", "problem", report["cudnn"], fix))
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in report["seconds"].items())
    return [*found, _finding("training", "ok", f"on the {report['device']}, under XLA, with compiling: {seconds}")]


def code_finding(versions: str, carried: Sequence[str], card: Card | None) -> Finding:
    """The finding about TensorFlow's code for the GPU.

    `carried`: the compute capabilities that it has code for. `sm_89` is machine code for 8.9 and later 8.x;
    `compute_90` is machine code for 9.0, and code that the driver of any newer GPU can compile.
    """
    if card is None:
        return _finding("TensorFlow", "ok", versions)
    parts = [(kind, (int(number[:-1]), int(number[-1]))) for kind, _, number in (one.partition("_") for one in carried)]
    if any(at[0] == card.capability[0] and at <= card.capability for _, at in parts):
        return _finding("TensorFlow", "ok", f"{versions}, with code for {_add_dot(card.capability)}")
    if any(kind == "compute" and at <= card.capability for kind, at in parts):
        kept = os.environ.get("CUDA_CACHE_PATH", "~/.nv")
        detail = (
            f"{versions}; the driver compiles it for {_add_dot(card.capability)} at first use, for minutes, into {kept}"
        )
        return _finding("TensorFlow", "ok", detail)
    fix = f"rent a card of one of these: {', '.join(carried)}"
    return _finding("TensorFlow", "problem", f"{versions}, without code for {_add_dot(card.capability)}", fix)


def _add_dot(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


def _training_failed(said: str) -> Finding:
    fix = f"`python -m {PROGRAM} GPU` shows all of it; docs/deploy/README.md lists the cards that are known to work"
    return _finding("training", "problem", f"two small models could not be trained: {said}", fix)


def _finding(name: str, status: str, detail: str, fix: str = "") -> Finding:
    return {"name": name, "status": status, "detail": detail, "fix": fix}


if __name__ == "__main__":
    sys.exit(main())
