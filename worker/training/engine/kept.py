"""The compiled programs of this process: stored ones, which XLA loads instead of compiling, and new ones.

They are in one folder for the process, because XLA reads its flags only once.
"""

import hashlib
import logging
import os
from pathlib import Path

from worker.ipc.kept_programs import STORE_VARIABLE, VARIABLE, make_process_folder
from worker.ipc.program_store import put, restore

# The variables that TensorFlow, XLA and NVIDIA's libraries read; CUDA_VISIBLE_DEVICES names the GPU.
_OF_COMPILERS = ("TF_", "XLA_", "CUDA_", "NVIDIA_", "CUBLAS_", "CUDNN_", "OMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_")

log = logging.getLogger(__name__)

_folder: Path | None = None
_restored: frozenset[str] = frozenset()


def use_kept_programs(threads: int) -> None:
    """Make XLA load stored programs, and write what it compiles. Call it before TensorFlow creates its context.

    Programs are stored for each number of threads and set of flags: XLA's own file names do not contain these, but its
    programs may depend on them.
    """
    global _folder, _restored  # noqa: PLW0603  XLA's flags are this process's, too
    if VARIABLE not in os.environ:
        return
    prefix = f"threads-{threads}-{_digest_of_flags()}"
    try:
        _folder = make_process_folder()
        _restored = restore(Path(os.environ[STORE_VARIABLE]), f"{prefix}_", _folder)
    except OSError as error:
        log.warning("the programs of earlier jobs are not used: %s", error)
        return
    flags = (
        f"--tf_xla_persistent_cache_directory={_folder}",
        f"--tf_xla_persistent_cache_prefix={prefix}",
        os.environ.get("TF_XLA_FLAGS", ""),
    )
    os.environ["TF_XLA_FLAGS"] = " ".join(flags).strip()


def store_compiled_programs() -> None:
    """Store what XLA has compiled in this process. If that fails, a later job compiles again."""
    if _folder is None:
        return
    try:
        for program in _folder.iterdir():
            if program.name not in _restored:
                put(Path(os.environ[STORE_VARIABLE]), program)
    except OSError as error:
        log.warning("compiled programs are not stored: %s", error)


def _digest_of_flags() -> str:
    flags = sorted(one for one in os.environ.items() if one[0].startswith(_OF_COMPILERS))
    return hashlib.sha256(repr(flags).encode()).hexdigest()[:16]
