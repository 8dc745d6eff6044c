import json
import os
import stat

import pytest

from fitstop.connection import (
    DEFAULT_URL,
    Connection,
    cli_json,
    find_connection,
    read_cli_json,
    remove_cli_json,
    write_cli_json,
)
from fitstop.contexts import Context, Contexts, contexts_file, write_contexts


def test_the_option_comes_before_the_variable_before_the_file_before_the_default(tmp_path):
    assert find_connection(None, {}, tmp_path).url == DEFAULT_URL
    write_cli_json(tmp_path, "http://127.0.0.1:4001", "secret")
    assert find_connection(None, {}, tmp_path).url == "http://127.0.0.1:4001"
    variable = {"FITSTOP_URL": "https://gpu.example/"}
    assert find_connection(None, variable, tmp_path).url == "https://gpu.example"
    assert find_connection("http://[::1]:1", variable, tmp_path).url == "http://[::1]:1"


@pytest.mark.parametrize("url", ["gpu.example:8000", "ftp://x", "http://", "file:///etc/passwd"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError, match="not an address"):
        find_connection(url, {})


def test_the_key_of_the_file_goes_only_to_the_address_of_the_file(tmp_path):
    cli_json(tmp_path).write_text(json.dumps({"url": "http://127.0.0.1:4001", "pid": 1, "api_key": "secret"}))
    assert find_connection(None, {}, tmp_path).api_key == "secret"
    assert find_connection("http://127.0.0.1:4001/", {}, tmp_path).api_key == "secret"
    assert find_connection("http://other.example", {}, tmp_path).api_key is None
    assert find_connection(None, {"FITSTOP_URL": "http://127.0.0.1:4002"}, tmp_path).api_key is None
    assert find_connection("http://other.example", {"FITSTOP_API_KEY": "mine"}, tmp_path).api_key == "mine"
    assert "secret" not in repr(find_connection(None, {}, tmp_path))


def test_the_current_context_comes_after_the_variables_and_the_stack_of_the_folder(tmp_path):
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    contexts = (
        Contexts().with_context("lab", Context("https://lab", "l")).with_context("home", Context("https://h", "h"))
    )
    write_contexts(contexts, home)
    data = tmp_path / "data"
    data.mkdir()
    found = [
        find_connection(None, home, data),
        find_connection(None, home, data, "lab"),
        find_connection("https://lab", home, data),
        find_connection(None, {**home, "FITSTOP_API_KEY": "mine"}, data),
        find_connection(None, {**home, "FITSTOP_URL": "https://other"}, data),
        find_connection(None, {**home, "FITSTOP_URL": "https://lab"}, data),
    ]
    assert [(one.url, one.api_key) for one in found] == [
        ("https://h", "h"), ("https://lab", "l"), ("https://lab", "l"),
        ("https://h", "mine"), ("https://other", None), ("https://lab", "l"),
    ]  # fmt: skip
    write_cli_json(data, "http://127.0.0.1:4001", "secret")
    assert find_connection(None, home, data).url == "http://127.0.0.1:4001"
    assert "'h'" not in repr(contexts)
    with pytest.raises(ValueError, match='there is no context "x"; contexts: home, lab'):
        find_connection(None, home, data, "x")


@pytest.mark.parametrize("content", ["", "[]", '{"contexts": 5}', '{"contexts": {"a": {"url": 5, "api_key": "x"}}}'])
def test_damaged_contexts_are_reported_and_not_passed_over(tmp_path, content):
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    contexts_file(home).parent.mkdir()
    contexts_file(home).write_text(content)
    with pytest.raises(ValueError, match=r"contexts\.json is damaged; remove it"):
        find_connection(None, home, tmp_path)


@pytest.mark.parametrize("key", ["clé", "two words", "line\n", "a\0"])
def test_a_key_that_no_request_can_carry_is_refused_and_not_shown(tmp_path, key):
    with pytest.raises(ValueError, match="the API key has characters") as refused:
        find_connection(None, {"FITSTOP_API_KEY": key}, tmp_path)
    assert key not in str(refused.value)


def test_the_file_is_for_this_user_alone_and_only_its_writer_removes_it(tmp_path):
    write_cli_json(tmp_path, "http://127.0.0.1:4001", "secret")
    assert stat.S_IMODE(cli_json(tmp_path).stat().st_mode) == 0o600
    cli_json(tmp_path).write_text(json.dumps({"url": "http://127.0.0.1:4001", "pid": os.getpid() + 1}))
    remove_cli_json(tmp_path)
    assert cli_json(tmp_path).exists()
    write_cli_json(tmp_path, "http://127.0.0.1:4001", "secret")
    remove_cli_json(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "null", '{"url": 5}', '{"url": "ftp://x"}', "{"])
def test_a_damaged_file_is_passed_over(tmp_path, content):
    cli_json(tmp_path).write_text(content)
    assert read_cli_json(tmp_path) is None


@pytest.mark.parametrize(
    ("url", "local"), [("http://127.0.0.1:1", True), ("http://localhost", True), ("http://10.0.0.1", False)]
)
def test_no_proxy_is_asked_for_this_machine(url, local):
    assert Connection(url).is_local is local
