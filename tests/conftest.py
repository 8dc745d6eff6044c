"""Fixtures of all tests: a scrubbed environment and an empty volume."""

import gc
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from werkzeug.routing import Rule
from xdist.scheduler import LoadFileScheduling

from shared.volume import Volume

if TYPE_CHECKING:
    from tests.support.both_stores import Machines
    from tests.support.bucket import Server

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Threads would make the fork servers of tests unsafe to fork, as those of workers (worker/supervisor/nursery.py).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")

# The tests write many small files and sync each. In memory that takes no time, but a container may have only 64 MB.
_IN_MEMORY, _LEAST_FREE_BYTES = Path("/dev/shm"), 4 * 1024**3
if os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > _LEAST_FREE_BYTES:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_IN_MEMORY))

# No example has a time limit, because a busy machine is not a fault of the code.
hypothesis.settings.register_profile("fitstop", deadline=None)
hypothesis.settings.load_profile("fitstop")

_LOGGED_CHARACTERS = 4000
# The tests of each folder share a service, a worker and perhaps a browser. Only one process starts them.
_ONE_SERVICE_EACH = ("tests/e2e/page/", "tests/e2e/")


class _ByService(LoadFileScheduling):
    """Runs all tests of a file in the same process, and all files that share a service."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((folder for folder in _ONE_SERVICE_EACH if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return _ByService(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Exclude what has been imported from garbage collection, because it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 10)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of its processes to the report of a failed test: on another machine nobody finds the files later."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        logs = {value.log for value in item.funcargs.values() if isinstance(getattr(value, "log", None), Path)}
        if (folder := item.funcargs.get("tmp_path")) is not None:
            logs.update(folder.rglob("*.log"))
        for log in sorted(logs):
            report.sections.append((str(log), log.read_text(errors="replace")[-_LOGGED_CHARACTERS:]))
    return report


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the user who runs the tests, and the terminal size that pytest-xdist sets."""
    for name in list(os.environ):
        if name.startswith("FITSTOP_") or name in {"COLUMNS", "LINES"}:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Set folders for cache and configuration, so that no test writes to the user's cache or finds their API keys."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="session", autouse=True)
def routes_compiled_once() -> Generator[None]:
    """Compile equal routes once. Werkzeug compiles two functions for each route of each app, 20 ms for an API."""
    compile_builder: Any = Rule._compile_builder
    kept: dict[tuple[object, ...], object] = {}

    def kept_builder(rule: Rule, append_unknown: bool = True) -> object:
        key = (append_unknown, repr(rule.defaults), *rule._trace)
        if key not in kept:
            kept[key] = compile_builder(rule, append_unknown)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", kept_builder)
        yield


@pytest.fixture(autouse=True)
def tensorflow_as_it_starts() -> Generator[None]:
    """Reset the option of TensorFlow that a run in this process sets, so that it does not affect the next test."""
    yield
    if (tensorflow := sys.modules.get("tensorflow")) is not None and hasattr(tensorflow, "config"):
        tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `both_stores` on a volume in a folder and on one in a bucket."""
    marked = metafunc.definition.get_closest_marker
    if marked("both_stores") and not marked("folder_only") and "store_kind" in metafunc.fixturenames:
        metafunc.parametrize("store_kind", ["folder", "bucket"])


@pytest.fixture
def store_kind() -> str:
    """Place of the volume: a `folder` or a `bucket`."""
    return "folder"


@pytest.fixture(scope="session")
def s3_server() -> "Iterator[Server]":
    """One server for all tests that need no faults of the server. The others start their own."""
    from tests.support.bucket import running_server

    with running_server() as server:
        yield server


@pytest.fixture
def open_machines(store_kind: str, request: pytest.FixtureRequest) -> "Callable[[Path], Machines]":
    """A function that opens a new volume, with the folders of its machines below the given folder."""
    from tests.support.both_stores import Machines

    if store_kind == "folder":
        return Machines
    server: Server = request.getfixturevalue("s3_server")

    def open_bucket(folder: Path) -> Machines:
        bucket = server.make_bucket()
        return Machines(folder, lambda: server.store(bucket, "some/prefix"))

    return open_bucket


@pytest.fixture
def machines(open_machines: "Callable[[Path], Machines]", tmp_path: Path) -> "Iterator[Machines]":
    """The API's machine, and those that a test adds."""
    machines = open_machines(tmp_path)
    yield machines
    machines.end()


@pytest.fixture
def volume(machines: "Machines") -> Volume:
    """An empty volume, as the API sees it."""
    return machines.volume
