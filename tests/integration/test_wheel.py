"""The wheel as people install it: one top-level name, a client with three libraries, the whole service with [local]."""

import json
import re
import signal
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from fitstop.local.redis_server import find_redis_server
from tests.support.waiting import wait_for
from tests.support.wheel import ROOT, Installed, build_wheel

SERVICE = ("api", "shared", "worker")
# An address where nothing listens.
NOBODY = "http://127.0.0.1:1"
SHORT = ("--set", "hyperparameters.epochs=2")
needs_redis = pytest.mark.skipif(find_redis_server() is None, reason="no Redis server here")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def client(tmp_path_factory, wheel):
    return Installed(tmp_path_factory.mktemp("client") / "venv", wheel)


@pytest.fixture(scope="module")
def local(tmp_path_factory, wheel):
    return Installed(tmp_path_factory.mktemp("local") / "venv", wheel, "local")


@pytest.fixture
def folder(tmp_path):
    """A user's folder, with a table and with packages that have the names of the service's own."""
    for name in SERVICE:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the package of the user was imported')")
    rows = [f"{n % 17},{n % 5},{'yes' if n % 17 > 8 else 'no'}" for n in range(200)]
    (tmp_path / "small.csv").write_text("\n".join(["size,weight,good", *rows, ""]))
    return tmp_path


def test_it_installs_one_top_level_name_with_every_file_of_the_service(client):
    package, metadata = sorted(client.own_names)
    assert package == "fitstop"
    assert re.fullmatch(r"fitstop-[\d.]+\.dist-info", metadata)
    for name in SERVICE:
        assert files_in(client.site_packages / "fitstop" / "_service" / name) == files_in(ROOT / name)


def files_in(folder: Path) -> set[str]:
    return {
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_client_and_the_command_need_five_libraries(client, tmp_path):
    [ours] = Distribution.discover(name="fitstop", path=[str(client.site_packages)])
    always = [text for text in ours.requires if "extra ==" not in text]
    assert {re.match(r"[\w-]+", text)[0] for text in always} == {"click", "httpx2", "pathspec", "rich", "ruamel-yaml"}
    for missing in ("api", "shared", "worker", "pydantic", "flask", "keras", "numpy"):
        assert "ModuleNotFoundError" in client.run("python", "-c", f"import {missing}", cwd=tmp_path)[1]

    code = f"import fitstop; fitstop.Client(fitstop.Connection({NOBODY!r})).jobs()"
    assert "fitstop.errors.Unreachable: no answer from" in client.run("python", "-c", code, cwd=tmp_path)[1]
    status, said = client.run("fitstop", "--help", cwd=tmp_path)
    assert (status, "Train Keras models" in said) == (0, True)
    assert client.run("fitstop", "--url", NOBODY, "ps", cwd=tmp_path)[0] == 5


@pytest.mark.parametrize("command", [("up",), ("demo",), ("config",)])
def test_without_the_service_its_commands_name_the_extra_that_installs_it(client, tmp_path, command):
    status, said = client.run("fitstop", *command, cwd=tmp_path)
    assert (status, "pip install 'fitstop[local]'" in said) == (2, True)
    assert list(tmp_path.iterdir()) == []


@needs_redis
def test_up_in_an_empty_folder_serves_a_job_and_ends(local, folder):
    with local.start("fitstop", "up", "--port", "0", cwd=folder) as up:
        try:
            wait_for(lambda: (folder / "fitstop-data" / "cli.json").exists() or up.poll() is not None, 90)
            assert up.poll() is None, up.stdout.read()
            status, said = local.run("fitstop", "demo", "--data-file", "small.csv", *SHORT, cwd=folder)
            assert (status, "Using the service at" in said) == (0, True), said
            listed = json.loads(local.run("fitstop", "ps", "--all", "-o", "json", cwd=folder)[1])
            assert [job["status"] for job in listed["data"]] == ["succeeded"]
        finally:
            up.send_signal(signal.SIGINT)
            said, _ = up.communicate(timeout=60)
    assert (up.returncode, "stopped; the data stays in" in said) == (0, True)


@needs_redis
def test_the_demo_in_an_empty_folder_runs_to_its_summary(local, folder):
    status, said = local.run("fitstop", "demo", *SHORT, cwd=folder, FITSTOP_WINE_URL=NOBODY)
    assert (status, "Using scikit-learn's breast-cancer data" in said) == (0, True), said
    assert (folder / "fitstop-data" / "downloads" / "breast-cancer.csv").exists()
