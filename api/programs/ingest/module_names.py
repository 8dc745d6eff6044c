"""Names of modules that a program must not hide: those of Fitstop, of a worker's libraries, and of Python."""

import sys

_SERVICE = frozenset({"api", "fitstop", "shared", "worker"})
# The top-level modules of requirements/worker.txt and requirements/gpu.txt. A test compares them.
_LIBRARIES = """
    _distutils_hack _yaml absl alembic amqp annotated_types anyio astunparse async_timeout billiard celery
    certifi charset_normalizer clang click click_didyoumean click_plugins click_repl cloudpickle cmaes
    colorlog dateutil editables flatbuffers gast google grpc h11 h5py hatchling httpcore2 httpx2 idna joblib
    keras kombu mako markdown_it markupsafe mdurl ml_dtypes namex narwhals numpy nvidia obstore opt_einsum
    optree optuna packaging pandas pasta pathspec PIL pluggy prettytable prompt_toolkit pyarrow pydantic
    pydantic_core pygments pynvml redis requests rich ruamel scipy setuptools six sklearn skops sqlalchemy
    tensorflow termcolor threadpoolctl tomlkit tqdm trove_classifiers truststore typing_extensions
    typing_inspection tzlocal ulid urllib3 uv vine wcwidth wheel wrapt yaml
"""

RESERVED = _SERVICE | frozenset(_LIBRARIES.split()) | sys.stdlib_module_names
