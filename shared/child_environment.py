"""The variables that a training process gets: those that its libraries read, and the settings that it reads itself.

The environment of a worker holds Redis's password and often the tokens of a provider. A training process needs none of
them, nor does the process that parses an upload. This is an allow-list, since the names of all secrets cannot be known.
"""

from collections.abc import MutableMapping

from shared.settings import variable

_NAMES = frozenset(
    {
        *(
            "HOME",
            "HOSTNAME",
            "LANG",
            "LANGUAGE",
            "LOGNAME",
            "PATH",
            "PWD",
            "SHELL",
            "SSL_CERT_DIR",
            "SSL_CERT_FILE",
            "TEMP",
            "TMP",
            "TMPDIR",
            "TZ",
        ),
        *("TZDIR", "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME"),
        *map(variable, ("heartbeat_seconds", "self_stop_seconds", "take_over_seconds", "hang_seconds")),
        *map(
            variable,
            ("first_batch_seconds", "resume_seconds", "device_data_bytes", "log_level", "volume_reserve_bytes"),
        ),
        *map(variable, ("cache", "cache_bytes", "allow_code", "requirements_bytes")),
        variable("requirements_seconds"),
    }
)
_PREFIXES = (
    *("CUBLAS_", "CUDA_", "CUDNN_", "GOMP_", "JE_", "KERAS_", "KMP_", "LC_", "LD_", "MALLOC_", "MKL_", "NCCL_"),
    *("NUMEXPR_", "NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTHON", "TF_", "XLA_"),
)
# Words that mark a secret, such as NVIDIA_API_KEY.
_SECRET = ("KEY", "PASSWORD", "SECRET", "TOKEN")


def is_for_training(name: str) -> bool:
    """Whether a training process gets the variable."""
    return name in _NAMES or (name.startswith(_PREFIXES) and not any(word in name for word in _SECRET))


def leave_for_training(environment: MutableMapping[str, str]) -> None:
    """Remove all variables that are not for training from this process's environment, which its children inherit."""
    for name in [name for name in environment if not is_for_training(name)]:
        del environment[name]
