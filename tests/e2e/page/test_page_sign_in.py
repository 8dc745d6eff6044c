"""Logging in and out on the page, in a real browser."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.keys import ADMIN_KEY
from tests.support.waiting import wait_for


def test_whoever_is_not_signed_in_comes_back_to_where_they_wanted_to_go(visitor):
    with visitor.page(key=None) as page:
        page.goto("/page/usage?by=dataset")
        assert page.url == f"{visitor.url}/page/sign-in?next=%2Fpage%2Fusage%3Fby%3Ddataset"
        page.get_by_label("API key").fill("fs_wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("alert").get_by_text("unknown API key").wait_for()
        page.get_by_label("API key").fill(ADMIN_KEY)
        page.keyboard.press("Enter")
        page.wait_for_url("**/page/usage?by=dataset")
        [cookie] = page.context.cookies()
        flags = (cookie["httpOnly"], cookie["sameSite"], cookie["path"], cookie["secure"])
        assert flags == (True, "Strict", "/", False)
        assert ADMIN_KEY not in cookie["value"]
        assert page.evaluate("document.cookie") == ""


def test_an_address_that_leads_elsewhere_is_not_followed(visitor):
    for elsewhere in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/.//evil.example/",
        "javascript:alert(1)",
    ):
        with visitor.page(key=None) as page:
            page.goto(f"/page/sign-in?next={elsewhere}")
            page.get_by_label("API key").fill(ADMIN_KEY)
            page.keyboard.press("Enter")
            page.get_by_role("heading", name="Jobs", exact=True).wait_for()
            assert page.url == f"{visitor.url}/"


def test_signing_out_ends_the_session_and_every_page_leads_to_signing_in(visitor):
    with visitor.page() as page:
        page.goto("/")
        page.get_by_label("Logged in as").click()
        page.get_by_role("button", name="Log out", exact=True).click()
        page.wait_for_url("**/page/sign-in")
        page.goto("/page/workers")
        assert "/page/sign-in?next=" in page.url


def test_logging_out_everywhere_ends_the_sessions_of_other_browsers_too(visitor):
    with visitor.page() as elsewhere, visitor.page() as page:
        elsewhere.goto("/")
        page.goto("/")
        page.get_by_label("Logged in as").click()
        page.get_by_role("button", name="Log out everywhere").click()
        page.wait_for_url("**/page/sign-in")
        elsewhere.goto("/page/workers")
        assert "/page/sign-in?next=" in elsewhere.url


def test_a_session_that_ends_while_a_page_is_open_leads_to_signing_in(visitor):
    with visitor.page() as page:
        page.goto("/page/usage")
        page.context.clear_cookies()
        page.get_by_role("button", name="Dataset").click()
        page.wait_for_url("**/page/sign-in?next=*")


def test_a_code_behind_the_address_signs_in_and_leaves_no_trace_in_it(visitor):
    code = visitor.api.ask("POST", "/page/codes").json["code"]
    with visitor.page(key=None) as page:
        page.goto(f"/page/sign-in#code={code}")
        page.get_by_role("heading", name="Jobs", exact=True).wait_for()
        assert code not in page.evaluate("location.href + history.length")
        assert code not in visitor.api.log.read_text()


class Elsewhere(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_a_page_of_another_port_writes_nothing(still):
    """Sites do not differ by port, so the browser sends the cookie. Only the Origin header shows the foreign page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere, still.page() as page:
        threading.Thread(target=elsewhere.serve_forever, kwargs={"poll_interval": 0.01}).start()
        page.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        # The browser hides the answer from a foreign page, so the fetch fails. What counts is what the service did.
        post = "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'}).catch(() => null)"
        page.evaluate(post, f"{still.url}/page/sign-out")
        wait_for(lambda: '"path": "/page/sign-out", "status": 403' in still.api.log.read_text(), 15)
        page.goto("/")
        page.get_by_role("heading", name="Jobs", exact=True).wait_for()
        elsewhere.shutdown()
