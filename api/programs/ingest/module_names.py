"""Names of modules that a program must not hide: those of the service, of what a worker trains with, and of Python."""

import sys

_SERVICE = frozenset({"api", "fitstop", "shared", "worker"})
# The top-level modules of requirements/worker.txt and requirements/gpu.txt. A test compares them.
_LIBRARIES = frozenset(
    {
        *("_distutils_hack", "absl", "amqp", "annotated_types", "anyio", "astunparse", "async_timeout", "billiard"),
        "celery",
        *("certifi", "charset_normalizer", "clang", "click", "click_didyoumean", "click_plugins"),
        *("click_repl", "cloudpickle", "dateutil", "editables", "flatbuffers", "gast", "google", "grpc"),
        *("h11", "h5py", "hatchling", "httpcore2", "httpx2", "idna", "joblib", "keras", "kombu"),
        *("markdown_it", "mdurl", "ml_dtypes", "namex", "narwhals", "numpy", "nvidia", "opt_einsum"),
        *("optree", "packaging", "pandas", "pasta", "pathspec", "PIL", "pluggy", "prettytable"),
        *("prompt_toolkit", "pyarrow", "pydantic", "pydantic_core", "pygments", "pynvml", "redis"),
        *("requests", "rich", "scipy", "setuptools", "six", "sklearn", "skops", "tensorflow", "termcolor"),
        *("threadpoolctl", "tomlkit", "trove_classifiers", "truststore", "typing_extensions"),
        *("typing_inspection", "tzlocal", "ulid", "urllib3", "uv", "vine", "wcwidth", "wheel", "wrapt"),
    }
)

RESERVED = _SERVICE | _LIBRARIES | sys.stdlib_module_names
