"""A real HTTP server with canned answers, and the command run against it."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from fitstop.cli.main import main


@dataclass
class Asked:
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes


@dataclass
class Canned:
    """Answers by method and path: (status, body), or a function of the request that returns one, also with headers.

    `otherwise` answers all other requests. If it is None, their status is 404.
    """

    answers: dict = field(default_factory=dict)
    otherwise: Any = None
    asked: list = field(default_factory=list)
    url: str = ""

    def on(self, method, path, body, status=200):
        self.answers[method, path] = body if callable(body) else lambda asked: (status, body)

    def problem(self, method, path, status, **document):
        self.on(method, path, {"status": status, **document}, status)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        canned = self.server.canned
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        asked = Asked(self.command, parts.path, query, dict(self.headers), body)
        canned.asked.append(asked)
        found = canned.answers.get((self.command, parts.path), canned.otherwise)
        missing = (404, {"title": "Not found", "detail": f"no {parts.path}"})
        status, answer, *headers = found(asked) if found else missing
        if status is None:  # hang up without an answer
            self.close_connection = True
            return
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in {"Content-Length": str(len(content)), **(headers[0] if headers else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *args):
        pass


@pytest.fixture
def canned():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.canned = Canned(url=f"http://127.0.0.1:{server.server_port}")
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.canned
        server.shutdown()
        thread.join()


@pytest.fixture
def fitstop(canned, tmp_path, monkeypatch):
    """Run the command against the canned service, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, url=canned.url, stdin=None):
        return CliRunner().invoke(main, ["--url", url, *map(str, arguments)], input=stdin)

    return run


def job(number=1, status="running", **values):
    """A job as the API shows it."""
    return {
        "id": f"job_01K8{number:022d}",
        "object": "job",
        "name": "wine",
        "status": status,
        "created_at": "2026-11-23T19:12:00.000Z",
        "attempt": 1,
        "progress": None,
        "stop": None,
        "failures": [],
        "warnings": [],
        **values,
    }


def page(*data, has_more=False, **values):
    return {"object": "list", "data": list(data), "has_more": has_more, **values}


@pytest.fixture
def make_job():
    return job


@pytest.fixture
def make_page():
    return page
