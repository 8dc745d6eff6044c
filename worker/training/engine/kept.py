"""The kept programs of this process: copies that XLA reads instead of compiling, and what it has compiled.

XLA reads its flags once for a process, so a process has one folder of them.
"""

import hashlib
import logging
import os
from pathlib import Path

from worker.ipc.kept_programs import STORE_VARIABLE, VARIABLE, make_process_folder
from worker.ipc.program_store import put, restore

# What TensorFlow, XLA and NVIDIA's libraries read; CUDA_VISIBLE_DEVICES tells the card.
_OF_COMPILERS = ("TF_", "XLA_", "CUDA_", "NVIDIA_", "CUBLAS_", "CUDNN_", "OMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_")

log = logging.getLogger(__name__)

_folder: Path | None = None
_restored: frozenset[str] = frozenset()


def use_kept_programs(threads: int) -> None:
    """Have XLA look among the kept programs, and write what it compiles. Before TensorFlow makes its context.

    What XLA makes of a program may depend on the number of threads and on the flags, which its own names for the files
    leave out.
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


def keep_compiled() -> None:
    """Store what XLA has compiled in this process. Where that fails, a later job compiles again."""
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
