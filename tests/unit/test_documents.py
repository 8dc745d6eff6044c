"""The documents: the reference pages are current, every link leads somewhere, and README stays short."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import FOLDER, pages

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MOST_WORDS = 1200


def test_the_reference_pages_are_what_the_code_says():
    written = {page.name: page.read_text() for page in FOLDER.glob("*.md")}
    assert written == pages(), "a page is out of date: run `make reference` and commit what it writes"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_document_leads_to_a_file_and_a_section(document):
    assert [link for link in links(document) if not leads_somewhere(document, link)] == []


def links(document: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(document)):
        if "://" not in link and not link.startswith("mailto:"):
            yield link


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, section = link.partition("#")
    file = (document.parent / path).resolve() if path else document
    return file.exists() and (not section or section in sections(file))


def sections(document: Path) -> set[str]:
    """Return the names that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(document: Path) -> str:
    return re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_the_document_names_exists(name):
    named = set(
        re.findall(
            r"`((?:api|bench|docs|fitstop|proofs|shared|tests|worker)/[\w./*-]*(?:[.]py|/))`", (ROOT / name).read_text()
        )
    )
    assert named
    assert sorted(path for path in named if not list(ROOT.glob(path.rstrip("/")))) == []


def test_the_index_names_every_document():
    folder = ROOT / "docs"
    named = {(folder / link.partition("#")[0]).resolve() for link in links(folder / "README.md")}
    listed = {path for path in folder.rglob("*.md") if path.parent.name != "deploy"} - {folder / "README.md"}
    assert listed - named == set()


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= MOST_WORDS


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split()
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {line.split()[0] for line in shown.stdout.splitlines() if line.startswith("  ")} == set(targets)
