"""`python -m worker.doctor`: what this machine can train on, as a JSON list of {name, status, detail, mend}.

NVIDIA's library is asked here; TensorFlow in a child, since whatever a broken driver does to it must not end the look.
"""

import json
import os
import subprocess
import sys
from typing import Any

from worker.device import DeviceUnusable, device_name

_CHECK = "worker.training.device_check"
_CHECK_SECONDS = 1500
# What TensorFlow 2.21 has no working code for (tensorflow#89272, #111958).
_FIRST_UNSUPPORTED = 10.0
_LEAST_CUDNN = (9, 24)

Finding = dict[str, str]


def main() -> int:
    """Print the findings; exit status 0 whatever they are."""
    print(json.dumps(findings()))  # noqa: T201
    return 0


def findings() -> list[Finding]:
    """The GPU, its driver, what TensorFlow carries for it, and whether it trains."""
    try:
        name = device_name()
    except DeviceUnusable as error:
        return [_finding("GPU", "problem", str(error), "start the machine or the container again")]
    found = [_no_gpu(name)] if name.startswith("CPU") else [_gpu()]
    report, said = _checked(on_gpu=not name.startswith("CPU"))
    return found + (_of_tensorflow(report) if report else [_training_failed(said)])


def _no_gpu(name: str) -> Finding:
    mend = "for a GPU: NVIDIA's driver on the machine, and `--gpus all` for a container"
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        mend = "CUDA_VISIBLE_DEVICES hides it, if there is one"
    return _finding("GPU", "warning", f"none that can be used; jobs train on the {name}", mend)


def _gpu() -> Finding:
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    name, driver = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlSystemGetDriverVersion()
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    pynvml.nvmlShutdown()
    detail = (
        f"{name}, compute capability {major}.{minor}, driver {driver}, "
        f"{memory.free / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    )
    if int(str(driver).split(".")[0]) < 525:
        return _finding(
            "GPU", "problem", detail, "CUDA 12 needs driver 525 or newer: update it, or rent another machine"
        )
    if major >= _FIRST_UNSUPPORTED:
        return _finding("GPU", "warning", detail, "TensorFlow 2.21 knows cards up to 9.0 (H100, H200) for sure")
    if memory.free < 0.8 * memory.total:
        return _finding("GPU", "warning", detail, "another program holds its memory: `nvidia-smi` names it")
    return _finding("GPU", "ok", detail)


def _checked(*, on_gpu: bool) -> tuple[dict[str, Any], str]:
    """What the child reported, empty where it failed, and the end of what it said."""
    command = [sys.executable, "-P", "-m", _CHECK, "GPU" if on_gpu else "CPU"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {}, f"no end after {_CHECK_SECONDS} s"
    said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return (json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}), said


def _of_tensorflow(report: dict[str, Any]) -> list[Finding]:
    found = [_finding("TensorFlow", "ok", report["tensorflow"])]
    if report["cudnn"] and tuple(int(part) for part in report["cudnn"].split(".")[:2]) < _LEAST_CUDNN:
        mend = "pip install 'nvidia-cudnn-cu12>=9.24': with older ones Conv2D training dies under XLA"
        found.append(_finding("cuDNN", "problem", report["cudnn"], mend))
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in report["seconds"].items())
    return [*found, _finding("training", "ok", f"on the {report['device']}, under XLA, with compiling: {seconds}")]


def _training_failed(said: str) -> Finding:
    mend = f"`python -m {_CHECK} GPU` shows all of it; docs/deploy/README.md names the cards that are known to work"
    return _finding("training", "problem", f"two small models could not be trained: {said}"[:500], mend)


def _finding(name: str, status: str, detail: str, mend: str = "") -> Finding:
    return {"name": name, "status": status, "detail": detail, "mend": mend}


if __name__ == "__main__":
    sys.exit(main())
