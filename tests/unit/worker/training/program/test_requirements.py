"""A program's requirements: accepted lines, packages that the worker already has, and the folder with the rest."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.packages import make_wheel, serve_wheels
from worker.training.program.overlay_cache import OverlayCache
from worker.training.program.requirements import (
    Limits,
    RequirementsRefused,
    RequirementsUnavailable,
    install_requirements,
    read_requirements,
)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return serve_wheels(tmp_path, monkeypatch)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_every_line_that_names_no_package_of_a_registry_is_named() -> None:
    lines = [
        "git+https://host/repository.git", "mine @ https://host/mine.whl", "./mine", "mine.whl", "-e .",
        "--index-url https://host/simple", "-r more.txt", "mine==1.0 --hash=sha256:00",
        "mine=1", "keras==2.0", "numpy<1",
    ]  # fmt: skip
    with pytest.raises(RequirementsRefused) as refused:
        read_requirements("\n".join(["# taken:", "tqdm  # bars", *lines]))
    for number, line in enumerate(lines, 3):
        assert f"line {number}: {line!r}" in str(refused.value)
    assert f"this worker has numpy {np.__version__}" in str(refused.value)


def test_what_the_worker_satisfies_is_not_resolved() -> None:
    text = f"numpy\nnumpy=={np.__version__}\nkeras>=3\ntensorflow[and-cuda]\npandas\nother; sys_platform == 'win32'\n"
    assert read_requirements(text) == []
    assert [str(one) for one in read_requirements("pandas[excel]\nother>=2")] == ["pandas[excel]", "other>=2"]


def test_packages_and_what_they_require_come_without_the_workers_own(wheels: Path, cache: Path) -> None:
    make_wheel(wheels, "first", requires=("second>=1", "numpy"))
    make_wheel(wheels, "second", "1.5")
    make_wheel(wheels, "numpy", np.__version__)
    found = install_requirements("first\n", cache)
    assert found.folder is not None
    assert sorted(found.packages) == ["first==1.0", "second==1.5"]
    assert (found.folder / "first.py").exists()
    assert not list(found.folder.glob("numpy*"))
    assert "--hash=sha256:" in found.lock
    assert not list(found.folder.parent.glob(".work-*"))
    for wheel in wheels.rglob("*.whl"):
        wheel.unlink()
    again = install_requirements("first\n", cache)
    assert (again.folder, again.lock) == (found.folder, found.lock)


def test_a_job_keeps_its_versions_when_newer_ones_come(wheels: Path, cache: Path, tmp_path: Path) -> None:
    make_wheel(wheels, "first")
    lock = tmp_path / "requirements.lock"
    install_requirements("first\n", cache, job_lock=lock)
    make_wheel(wheels, "first", "2.0")
    assert install_requirements("first\n", cache / "of another worker", job_lock=lock).packages == ("first==1.0",)
    assert install_requirements("first\n", cache / "of another worker").packages == ("first==2.0",)


def test_where_the_worker_has_everything_there_is_no_folder(cache: Path) -> None:
    assert install_requirements("numpy\nkeras>=3\n", cache).folder is None


def test_a_conflict_with_the_workers_versions_names_both(wheels: Path, cache: Path) -> None:
    make_wheel(wheels, "old", requires=("numpy<2",))
    make_wheel(wheels, "numpy", "1.26.4")
    with pytest.raises(RequirementsRefused, match=r"numpy.*<2.*") as refused:
        install_requirements("old\n", cache)
    assert f"numpy=={np.__version__}" in str(refused.value)


def test_a_package_without_a_wheel_is_refused_for_nothing_of_it_runs_unboxed(wheels: Path, cache: Path) -> None:
    (wheels / "source-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(RequirementsRefused, match="source"):
        install_requirements("source\n", cache)


def test_packages_that_are_too_large_or_take_too_long_are_refused(wheels: Path, cache: Path) -> None:
    make_wheel(wheels, "large", files={"large.bin": os.urandom(3 * 1024**2)})
    with pytest.raises(RequirementsRefused, match="take more than"):
        install_requirements("large\n", cache, Limits(most_bytes=2 * 1024**2))
    with pytest.raises(RequirementsRefused, match="took more than 0 s"):
        install_requirements("large\n", cache, Limits(seconds=0))
    assert not list((cache / "requirements").glob("*.draft"))


def test_a_wait_for_packages_can_be_ended(wheels: Path, cache: Path) -> None:
    make_wheel(wheels, "first")

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        install_requirements("first\n", cache, keep_alive=stop)


def test_a_registry_that_does_not_answer_may_do_so_later(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "uv"
    config.mkdir()
    (config / "uv.toml").write_text('[[index]]\nurl = "http://127.0.0.1:9/simple"\ndefault = true\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(RequirementsUnavailable):
        install_requirements("first\n", cache)


def fill(size: int):
    def make(into: Path) -> None:
        into.mkdir()
        (into / "file").write_bytes(os.urandom(size))

    return make


def use_and_report(folder: Path, names: list[str]) -> None:
    cache = OverlayCache(folder, 200_000)
    for name in names:
        cache.get(name * 64, fill(90_000), lambda: None)


def test_what_was_not_used_for_longest_goes_first_and_what_is_in_use_stays(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=use_and_report, args=(tmp_path, ["a", "b"]))
    child.start()
    child.join()
    os.utime(tmp_path / ("b" * 64), (1, 1))
    OverlayCache(tmp_path, 200_000).get("c" * 64, fill(90_000), lambda: None)
    assert {place.name[0] for place in tmp_path.iterdir() if place.is_dir()} == {"a", "c"}
    os.utime(tmp_path / ("c" * 64), (1, 1))
    OverlayCache(tmp_path, 200_000).get("d" * 64, fill(90_000), lambda: None)
    assert {place.name[0] for place in tmp_path.iterdir() if place.is_dir()} == {"c", "d"}


def test_a_folder_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    def fail(into: Path) -> None:
        fill(10)(into)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        OverlayCache(tmp_path, 10**6).get("a" * 64, fail, lambda: None)
    assert not [place for place in tmp_path.iterdir() if place.is_dir()]
