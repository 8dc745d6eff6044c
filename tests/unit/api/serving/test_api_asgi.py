"""The application over the ASGI protocol: what the event loop waits for, and what runs in a thread."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask, Response, request
from gunicorn.workers import gasgi

from api.http.problems import install
from api.serving import anonymous, asgi
from api.serving.anonymous import AnonymousClients
from api.serving.asgi import Application
from api.serving.connection import Connection, raw_problem

LEFT = {"type": "http.disconnect"}


def scope(method="GET", path="/", **headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http", "method": method, "raw_path": path.encode(), "query_string": b"", "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2),
        "headers": [(b"authorization", b"Bearer x"), *named],
    }  # fmt: skip


def body(content, *, more=False):
    return {"type": "http.request", "body": content, "more_body": more}


def served(app, *, shows_key=True):
    return Application(app, 1, AnonymousClients(lambda _: shows_key))


def run(what):
    """Run a coroutine in its own thread, because Playwright leaves a loop in the thread of the tests."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, what).result()


def answer(application, told, *received, then_waits=False):
    """Return what the application sends for a request whose client sends `received` and then leaves or waits."""
    messages, sent = list(received), []

    async def receive():
        if not messages and then_waits:
            await asyncio.sleep(60)
        return messages.pop(0) if messages else LEFT

    async def send(message):
        sent.append(message)

    run(application(told, receive, send))
    return sent


@pytest.fixture(autouse=True)
def _one_second(monkeypatch):
    """Make the counting window an hour long, so that none ends during a test."""
    monkeypatch.setattr(anonymous, "_WINDOW_SECONDS", 3600.0)


@pytest.fixture
def app():
    return Flask("test")


def test_a_small_body_is_whole_before_a_thread_sees_the_request(app):
    seen = []

    @app.post("/")
    def view():
        seen.append(len(request.environ["wsgi.input"]._received))
        return request.stream.read()

    head, rest = answer(served(app), scope("POST", content_length="6"), body(b"abc", more=True), body(b"def"))
    assert (head["status"], rest["body"], seen) == (200, b"abcdef", [6])


def test_of_a_client_without_a_key_no_body_is_read_but_that_of_a_log_in(app):
    @app.post("/page/sign-in")
    @app.post("/jobs")
    def view():
        return str(request.environ["wsgi.input"].has_sent_all)

    def posted(path):
        whole = scope("POST", path, content_length="3")
        return answer(served(app, shows_key=False), whole, body(b"abc"))

    assert posted("/page/sign-in")[1]["body"] == b"True"
    head, rest = posted("/jobs")
    assert rest["body"] == b"False"
    assert (b"connection", b"close") in head["headers"]


def test_whether_the_process_lives_is_answered_by_the_event_loop_itself(app):
    """So no blocked thread delays it."""
    threads = {}

    @app.get("/healthz")
    @app.get("/jobs")
    def view():
        threads[request.path] = threading.current_thread().name
        return ""

    for path in ("/healthz", "/jobs"):
        answer(served(app), scope(path=path), body(b""))
    assert threads["/jobs"].startswith("request")
    assert not threads["/healthz"].startswith("request")


def test_one_request_too_many_of_an_address_takes_no_thread_and_one_with_a_key_is_answered(app):
    app.add_url_rule("/jobs", view_func=lambda: "")

    def statuses(*, shows_key):
        application = served(app, shows_key=shows_key)
        return [answer(application, scope(path="/jobs"), body(b""))[0]["status"] for _ in range(102)]

    refused = statuses(shows_key=False)
    assert 429 in refused[anonymous.MOST_REQUESTS_PER_SECOND :]
    assert refused[0] == 200
    assert set(statuses(shows_key=True)) == {200}


def test_a_client_that_sends_its_small_body_too_slowly_gets_no_more_time_in_a_thread(app, monkeypatch):
    monkeypatch.setattr(asgi, "_SMALL_BODY_SECONDS", 0.05)
    raised = []

    @app.post("/")
    def view():
        try:
            request.stream.read(10)
        except TimeoutError as error:
            raised.append(error)
        return ""

    head, _ = answer(served(app), scope("POST", content_length="6"), body(b"abc", more=True), then_waits=True)
    assert (b"connection", b"close") in head["headers"]
    assert len(raised) == 1


def test_a_torn_chunked_body_is_no_whole_one(app):
    install(app)

    @app.put("/")
    def view():
        with pytest.raises(ConnectionError):
            request.stream.read(10)
        return "torn"

    _, rest = answer(served(app), scope("PUT", transfer_encoding="chunked"), body(b"abc", more=True))
    assert rest["body"] == b"torn"


def test_after_an_empty_piece_the_next_is_asked_for_until_the_client_has_left(app, monkeypatch):
    monkeypatch.setattr(asgi, "LOOK_SECONDS", 0.01)
    closed = threading.Event()
    looks = []

    @app.get("/")
    def view():
        def pieces():
            yield b"first"
            for _ in range(5):
                looks.append(threading.current_thread().name)
                yield b""
            yield b"last"

        response = Response(pieces())
        response.call_on_close(closed.set)
        return response

    sent = answer(served(app), scope(), body(b""), then_waits=True)
    assert [message.get("body") for message in sent] == [None, b"first", b"last", b""]
    assert len(looks) == 5
    assert closed.wait(120)
    closed.clear()
    assert [message.get("body") for message in answer(served(app), scope(), body(b""))] == [None, b"first", b""]
    assert closed.wait(120)


def test_an_answer_is_closed_also_where_its_client_leaves_while_the_view_runs(app):
    closed, runs, may_go_on = threading.Event(), threading.Event(), threading.Event()

    @app.get("/")
    def view():
        runs.set()
        may_go_on.wait(120)
        response = Response(iter([b"x"]))
        response.call_on_close(closed.set)
        return response

    async def receive():
        return body(b"")

    async def send(message):
        raise AssertionError("nobody is there")

    async def cancelled():
        task = asyncio.create_task(served(app)(scope(), receive, send))
        await asyncio.to_thread(runs.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_go_on.set()
        assert await asyncio.to_thread(closed.wait, 10)

    run(cancelled())


def test_a_view_that_waits_hears_that_its_client_has_left(app):
    @app.get("/")
    def view():
        return str(request.environ["fitstop.leaves_within"](10))

    _, rest = answer(served(app), scope(), body(b""))
    assert rest["body"] == b"True"


def test_a_web_socket_is_refused(app):
    assert answer(served(app), {"type": "websocket"}) == [{"type": "websocket.close"}]


def test_what_is_not_http_is_a_problem_too():
    head, _, content = raw_problem(431, "req_x").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"Content-Length: %d" % len(content) in head
    assert b"application/problem+json" in head
    assert b"\r\nContent-Security-Policy: default-src 'none'" in head


def test_gunicorn_still_has_what_a_connection_relies_on():
    of_gunicorn = vars(gasgi.ASGIProtocol)
    overridden = {"connection_made", "data_received", "connection_lost", "_close_transport", "_send_error_response"}
    used = {"_keepalive_timeout", "_resume_reading", "_safe_write"}
    assert overridden | used <= set(of_gunicorn)
    assert overridden <= set(vars(Connection))
    names = set(gasgi.ASGIProtocol.__init__.__code__.co_names)
    assert {"_closed", "_body_receiver", "_callback_parser", "_keepalive", "_keepalive_handle", "_task"} <= names
