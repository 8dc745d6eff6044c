"""The served pages, and the rules for their files."""

import re
from pathlib import Path
from typing import get_args

import pytest

from api.page import static_files
from api.page.views import POLICY
from api.shapes.service import Worker
from shared.job import JobStatus

STATIC = static_files.FOLDER
TEMPLATES = STATIC.parent / "templates"
OURS = sorted(path for path in STATIC.iterdir() if path.suffix in {".js", ".css"})
PAGES = [
    "/",
    "/page/compare",
    "/page/new",
    "/page/sweeps/new",
    "/page/usage",
    "/page/workers",
    "/page/webhooks",
    "/page/sign-in",
]
PAGES += ["/page/datasets", "/page/keys", "/page/shared/job_01K00000000000000000000000"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_run_our_files_and_nothing_else(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/jobs").headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("path", PAGES)
def test_all_that_a_page_names_is_in_the_package(client, path):
    named = re.findall(r'(?:src|href)="(/page/static/[^"]+)"', client.get(path).text)
    assert len(named) >= 4
    for address in named:
        assert client.get(address).status_code == 200, address


def test_every_import_of_a_script_is_a_file_of_ours():
    for path in (one for one in OURS if one.suffix == ".js"):
        for name in re.findall(r'^(?:import|export|\}).* from "([^"]+)"', path.read_text(), re.MULTILINE):
            assert (STATIC / name).is_file(), (path.name, name)


@pytest.mark.parametrize("path", [*OURS, *sorted(TEMPLATES.iterdir())], ids=lambda path: path.name)
def test_no_text_becomes_markup_and_nothing_stands_inline(path):
    text = path.read_text()
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function|srcdoc|\|\s*safe"
    assert not re.search(forbidden, text)
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    if path.suffix == ".html":
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)", text)


@pytest.mark.parametrize(
    "name", ["x", "base.html", "../templates/base.html", "..%2ftemplates%2fbase.html", ".js", "vendor", "x" * 3000]
)
def test_no_other_file_is_served(client, name):
    assert client.get(f"/page/static/{name}").status_code == 404


def test_files_have_the_types_that_browsers_run_and_are_asked_for_again_cheaply(client):
    script, style = client.get("/page/static/jobs.js"), client.get("/page/static/base.css")
    assert script.content_type.startswith("text/javascript")
    assert style.content_type.startswith("text/css")
    again = client.get("/page/static/jobs.js", headers={"If-None-Match": script.headers["ETag"]})
    assert again.status_code == 304


def test_the_page_of_a_job_that_is_not_there_is_404(client, job):
    assert client.get(f"/page/jobs/{job.id}").status_code == 200
    for job_id in ("x", "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "..%2f..%2fkeys"):
        assert client.get(f"/page/jobs/{job_id}").status_code == 404


def test_the_name_of_a_key_is_shown_literally(app, client):
    key = client.post("/keys", json={"name": "<img src=x onerror=alert(1)>", "scope": "read"}).json["key"]
    shown = app.test_client().get("/", headers={"Authorization": f"Bearer {key}"}).text
    assert "<img src=x" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown


def test_the_built_package_holds_every_file_of_the_page():
    """hatch includes whole packages; the loss of a file named here would only be noticed when a page is opened."""
    assert {path.name for path in TEMPLATES.iterdir()} >= {"base.html", "jobs.html", "new.html", "sign_in.html"}
    assert Path(STATIC / "icon.svg").is_file()


@pytest.mark.parametrize(
    ("script", "table", "states"),
    [
        ("workers.js", "STATES", get_args(Worker.model_fields["status"].annotation)),
        ("format.js", "STATUSES", get_args(JobStatus)),
    ],
)
def test_every_state_that_the_api_tells_has_its_word_and_colour(script, table, states):
    block = re.search(rf"const {table} = {{(.*?)\n}};", (STATIC / script).read_text(), re.DOTALL)
    assert block
    assert set(re.findall(r"^  (\w+): {", block[1], re.MULTILINE)) == set(states)
