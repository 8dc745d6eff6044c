import re
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fitstop.cli.background import bucket_option, show_events
from fitstop.cli.local import idle_gpu_lines
from fitstop.local.component import Component
from fitstop.local.ports import StackError, choose_port, is_free
from fitstop.local.stack import LocalStack, NotReady, StackOptions, clean_environment
from tests.support.bucket import Server, access_to, running_server
from tests.support.redis import free_port


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_was_named_is_taken_or_refused(taken):
    with pytest.raises(StackError, match=f"port {taken} on 127.0.0.1 is in use"):
        choose_port("127.0.0.1", taken)
    free = choose_port("127.0.0.1", 0)
    assert choose_port("127.0.0.1", free) == free


def test_where_no_port_was_named_a_free_one_is_found():
    port = choose_port("127.0.0.1", None)
    assert is_free("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert choose_port("127.0.0.1", None) != port


def test_a_host_that_is_not_this_machine_is_refused():
    with pytest.raises(StackError, match="not an address of this machine"):
        choose_port("nowhere.invalid", None)


def test_the_components_learn_only_what_they_need():
    known = {"PATH": "p", "HOME": "h", "CUDA_VISIBLE_DEVICES": "0", "FITSTOP_SLOTS": "2", "LC_ALL": "C", "TF_X": "1"}
    other = {"AWS_SECRET_ACCESS_KEY": "s", "PYTHONPATH": "x", "PYTHONSTARTUP": "x", "LD_PRELOAD": "x", "CELERY_X": "y"}
    assert clean_environment({**known, **other}) == known


def test_a_typo_in_the_environment_is_said_before_anything_starts(tmp_path):
    said = []
    stack = LocalStack(StackOptions(tmp_path / "data"), said.append, {"FITSTOP_SLOT": "2", "PATH": "/bin"})
    with stack, pytest.raises(StackError, match="FITSTOP_SLOT=2: unknown variable"):
        stack.start()
    assert said == []


def test_a_variable_that_nobody_reads_is_a_warning(tmp_path):
    said = []
    stack = LocalStack(StackOptions(tmp_path), said.append, {"FITSTOP_OF_ANOTHER_VERSION": "1"})
    key = stack._run_preflight(stack._settings("redis://127.0.0.1:1/0"))
    assert key == (tmp_path / "admin_key").read_text().strip()
    assert "FITSTOP_OF_ANOTHER_VERSION is not a variable of this version" in " ".join(said)


def test_a_data_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "data").write_text("")
    stack = LocalStack(StackOptions(tmp_path / "data"), lambda text: None, {})
    with stack, pytest.raises(StackError, match="cannot be used as the data folder"):
        stack.start()


def test_a_volume_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "volume").write_text("")
    stack = LocalStack(StackOptions(tmp_path / "data"), lambda text: None, {})
    with stack, pytest.raises(StackError, match=r"volume can't be used as the volume: .*File exists"):
        stack.start()


def test_a_folder_that_is_just_being_used_is_refused(tmp_path):
    import fcntl

    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stack = LocalStack(StackOptions(tmp_path / "data"), lambda text: None, {})
        with stack, pytest.raises(StackError, match="another `fitstop up`"):
            stack.start()


def test_the_api_leaves_a_port_that_was_taken_before_it_came_but_never_one_that_is_known(taken, tmp_path):
    def moved(port, *, announced):
        stack = LocalStack(StackOptions(tmp_path, port=port), lambda text: None, {})
        stack._listen_on(taken)
        stack._announced = announced
        api = Component("the API", [], {"FITSTOP_PORT": str(taken)}, tmp_path / "log", 1)
        stack._leave_taken_port(api)
        assert stack.url == f"http://127.0.0.1:{api.environment['FITSTOP_PORT']}"
        return api.environment["FITSTOP_PORT"] != str(taken)

    assert moved(None, announced=False)
    assert not moved(None, announced=True)
    assert not moved(taken, announced=False)


def test_the_api_alone_is_given_the_key(tmp_path):
    stack = LocalStack(StackOptions(tmp_path), lambda text: None, {"PATH": "/bin", "FITSTOP_API_KEY": "another"})
    stack.api_key = "x" * 40
    api, sender, worker = stack._plan(stack._settings("redis://127.0.0.1:1/0"))
    assert api.environment["FITSTOP_ADMIN_KEY"] == stack.api_key
    for component in (sender, worker):
        assert stack.api_key not in component.environment.values()
    assert not [part for component in (api, sender, worker) for part in component.command if stack.api_key in part]


def test_who_works_on_a_bucket_gets_its_keys_and_nobody_else(tmp_path):
    environment = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "http://bucket"}
    environment |= {"HTTPS_PROXY": "http://proxy", "no_proxy": "here"}

    def plan(bucket):
        options = StackOptions(tmp_path, bucket=bucket)
        stack = LocalStack(options, lambda text: None, {**environment, "FITSTOP_MLFLOW_URI": "http://mlflow"})
        return [component.environment for component in stack._plan(stack._settings("redis://127.0.0.1:1/0"))]

    assert not any("AWS_SECRET_ACCESS_KEY" in component for component in plan(""))
    assert ["HTTPS_PROXY" in component for component in plan("")] == [False, False, True, False]
    api, sender, mlflow, worker = plan("s3://models/a")
    for component in (api, sender, worker):
        assert component["FITSTOP_VOLUME"] == "s3://models/a"
        assert component["AWS_SECRET_ACCESS_KEY"] == "secret"
        assert (component["HTTPS_PROXY"], component["no_proxy"]) == ("http://proxy", "here")
        assert component["FITSTOP_DATA"] == str(tmp_path), (
            "the folders that stand for the bucket are in the data folder"
        )
    assert "secret" not in mlflow.values()


@pytest.mark.parametrize(
    ("arguments", "variable", "says"), [(["--volume", "/mnt"], "", "expected s3://"), ([], "/mnt", "")]
)
def test_a_folder_is_no_bucket_and_one_in_the_environment_is_for_other_processes(arguments, variable, says):
    @click.command()
    @bucket_option
    def command(bucket):
        click.echo(f"bucket {bucket!r}")

    done = CliRunner().invoke(command, arguments, env={"FITSTOP_VOLUME": variable})
    assert (says in done.output) if says else (done.output == "bucket ''\n")


def test_a_bucket_that_ignores_conditions_is_refused_before_anything_starts(tmp_path):
    with running_server(ignores_conditions=True) as server, access_to(server):
        options = StackOptions(tmp_path / "data", bucket=f"s3://{server.make_bucket()}/a")
        stack = LocalStack(options, lambda text: None)
        with stack, pytest.raises(StackError, match="ignores If-None-Match"):
            stack.start()


def test_a_bucket_that_does_not_answer_is_waited_for_and_reported_once(tmp_path, monkeypatch):
    monkeypatch.setattr("fitstop.local.stack._BUCKET_SECONDS", 0)
    said = []
    with ExitStack() as world:

        def report(text):
            said.append(text)
            server = world.enter_context(running_server(port))
            server.make_bucket("models")

        port = free_port()
        world.enter_context(access_to(Server(f"http://127.0.0.1:{port}")))
        stack = LocalStack(StackOptions(tmp_path, bucket="s3://models/a"), report)
        assert stack._run_preflight(stack._settings("none")) == (tmp_path / "admin_key").read_text().strip()
    assert len(said) == 1
    assert re.search(f"no answer from http://127.0.0.1:{port}.*waiting until it answers", said[0])


def test_a_start_in_the_background_prints_what_up_reports(tmp_path, capsys):
    log = tmp_path / "up.log"
    log.write_bytes(b"of the last start\n")
    seen = len(log.read_bytes())
    with log.open("ab") as file:
        file.write(b"12:00:00  waiting until it answers\nvolume  x\n12:00:0")
    seen = show_events(log, seen)
    with log.open("ab") as file:
        file.write(b"5  restarted\n")
    assert show_events(log, show_events(log, seen)) == log.stat().st_size
    assert capsys.readouterr().err == "12:00:00  waiting until it answers\n12:00:05  restarted\n"


def test_a_worker_may_try_its_gpu_for_longer_than_others_may_start(tmp_path, monkeypatch):
    def waited_for(*cards):
        stack = LocalStack(StackOptions(tmp_path), lambda text: None, {})
        shown = iter(cards)
        monkeypatch.setattr(stack, "_our_card", lambda: next(shown))
        return stack.wait_ready(0)

    starting, unfit = {"device": "NVIDIA H200", "status": "starting"}, {"device": "NVIDIA H200", "status": "unfit"}
    assert waited_for(starting, starting, unfit) == unfit
    with pytest.raises(NotReady):
        waited_for({"device": "CPU (x86_64)", "status": "starting"})
    with pytest.raises(NotReady):
        waited_for(None)


def test_a_gpu_that_stays_idle_is_named_with_the_line_that_installs_its_build():
    assert idle_gpu_lines({"device": "CPU (x86_64)", "idle_gpu": ""}) == []
    said = idle_gpu_lines({"device": "CPU (x86_64)", "idle_gpu": "NVIDIA H200"})
    assert "NVIDIA H200 is idle" in said[0]
    assert sys.executable in said[-1]
    lock = re.search(r"--require-hashes -r (\S+)$", said[-1])
    assert "tensorflow==" in Path(lock[1]).read_text()
