"""What commands print when the service answers without its volume."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from fitstop.cli.main import main
from fitstop.connection import write_cli_json
from fitstop.local.doctor import check_service

_CHECKS = {"volume": {"ok": False, "detail": "no answer from http://bucket"}, "redis": {"ok": True, "detail": "none"}}


class _Service(BaseHTTPRequestHandler):
    def do_GET(self):
        is_ready = self.path == "/readyz"
        body = {"status": "not_ready", "checks": _CHECKS} if is_ready else {"object": "list", "data": []}
        self.send_response(503 if is_ready else 200)
        self.send_header("Fitstop-Volume-Away", "the bucket does not answer")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """Log nothing: a test's output is for failures."""


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_command_warns_once_on_stderr(url):
    done = CliRunner().invoke(main, ["--url", url, "workers"])
    assert done.exit_code == 0
    assert done.stderr.count("warning: the bucket does not answer") == 1
    assert "bucket" not in done.stdout


def test_doctor_says_what_the_service_of_the_folder_is_not_ready_for(url, tmp_path):
    assert list(check_service(tmp_path)) == []
    write_cli_json(tmp_path, url, "fs_key")
    (found,) = check_service(tmp_path)
    assert (found.name, found.status) == ("service", "problem")
    assert found.detail == f"{url}: volume: no answer from http://bucket"
