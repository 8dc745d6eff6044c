"""What every document on the volume has in common, and the errors for one that cannot be used."""

import json

import pytest

from shared.document import (
    FORMAT,
    Document,
    NewerFormat,
    UnusableDocument,
    document_name,
    parse_document,
    read_document,
)
from shared.job import EnginePlan, JobResult
from shared.manifest import Manifest


class Note(Document):
    text: str
    author: str = "nobody"


def parsed(content: bytes | str) -> Note:
    return parse_document(content.encode() if isinstance(content, str) else content, Note, "note.json")


def test_a_document_says_its_format():
    assert Note(text="a").model_dump(mode="json") == {"format": FORMAT, "text": "a", "author": "nobody"}


@pytest.mark.parametrize("number", ['"format":1,', '"version":1,', ""])
def test_documents_of_this_format_and_of_the_first_versions_are_read(number):
    assert parsed(f'{{{number}"text":"a"}}') == Note(text="a")


def test_unknown_fields_are_ignored_at_any_depth_and_refused_where_a_client_sends_them():
    ending = {"status": "succeeded", "stop": {"reason": "x", "later": 1}, "later": {"a": [1]}}
    content = json.dumps({"finished_at": "2026-11-23T19:12:00Z", "attempt": 1, "ending": ending, "later": 1}).encode()
    found = parse_document(content, JobResult, "result.json")
    assert found.ending.stop is not None
    assert found.ending.stop.reason == "x"
    with pytest.raises(ValueError, match="later"):
        JobResult.model_validate_json(content)


@pytest.mark.parametrize("rest", ['"text":"a"', '"words":["a"]', '"text":7'])
def test_a_newer_format_is_named_whatever_else_it_holds(rest):
    with pytest.raises(NewerFormat, match=r"note\.json was written by a newer version of Fitstop \(format 2,"):
        parsed(f'{{"format":2,{rest}}}')


@pytest.mark.parametrize(
    "content", ["", "{", "null", "[]", "7", '{"format":2', '{"text":7}', '{"format":"2","text":"a"}']
)
def test_a_damaged_document_is_named_with_what_is_wrong(content):
    with pytest.raises(UnusableDocument, match=r"note\.json is damaged: ") as caught:
        parsed(content)
    assert not isinstance(caught.value, NewerFormat)
    assert caught.value.code == "damaged_record"


def test_a_field_that_is_wrong_is_named():
    with pytest.raises(UnusableDocument, match=r"plan\.json is damaged: threads: "):
        parse_document(b'{"engine":"stock","xla":false,"threads":"many"}', EnginePlan, "plan.json")


def test_a_document_that_is_not_there_is_none(tmp_path):
    assert read_document(tmp_path / "note.json", Note) is None


def test_a_document_is_called_by_its_place_in_its_job_and_never_by_its_machines_folders(tmp_path):
    path = tmp_path / "jobs" / "AA" / "job" / "attempts" / "3" / "checkpoints" / "manifest.json"
    assert document_name(path) == "attempts/3/checkpoints/manifest.json"
    assert document_name(tmp_path / "datasets" / "wine" / "dataset.json") == "dataset.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{")
    with pytest.raises(UnusableDocument) as caught:
        read_document(path, Manifest)
    assert str(tmp_path) not in str(caught.value)
