"""PATCH /jobs/{id}: tags and a note, which may be changed at any time."""

from typing import Annotated

from flask import Response
from pydantic import Field

from api.auth.projects import find_job
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, json_answer, operation
from api.http.query import no_query
from api.http.strict_json import read_object
from api.jobs.show import job_document
from api.shapes.jobs import Job
from api.state.service import service
from shared.annotations import MOST_NOTE_CHARACTERS, MOST_TAGS, Annotations, Note, Tag, change_annotations
from shared.problems import NotFound, Problem, Refused
from shared.spec import Strict
from shared.validation import validate

# Enough for all tags and the note, with every character escaped.
_MOST_BYTES = 128 * 1024
_Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS)]


class JobChange(Strict):
    """The body of PATCH /jobs/{id}."""

    tags: _Tags | None = None
    """All tags of the job, replacing its current tags."""
    add_tags: _Tags | None = None
    """Tags to add."""
    remove_tags: _Tags | None = None
    """Tags to remove; those that the job does not have are ignored."""
    note: Note | None = Field(default=None, description=f"Note of up to {MOST_NOTE_CHARACTERS} characters; empty: none")


@operation(
    "changeJob",
    "jobs",
    "Change the tags and the note of a job",
    {200: json_answer("The job.", Job)},
    body={JSON: JobChange},
    example={"add_tags": ["baseline"], "note": "Augmentation was off."},
    errors=(*BODY_ERRORS, 404, 507),
)
def change(job_id: str) -> Response:
    """Change the tags and the note of a job in any state. Omitted fields do not change; the rest of a job is final.

    Concurrent changes are applied one after the other, so no added tag is lost.
    """
    no_query()
    folder = find_job(job_id)
    asked = validate(JobChange, read_object(_MOST_BYTES, service().settings.max_json_depth))
    _check(asked)
    try:
        change_annotations(service().volume.annotated, folder, lambda now: _apply(asked, now))
    except FileNotFoundError as error:
        service().volume.check()
        raise NotFound("there is no job with this id") from error
    return json_response(job_document(folder))


def _check(asked: JobChange) -> None:
    given = asked.model_dump(exclude_none=True)
    if not given:
        detail = "nothing to change; expected tags, add_tags, remove_tags or note"
        raise Refused([Problem("#", detail, "no_change")])
    if asked.tags is None:
        return
    detail = "cannot be combined with tags, which replaces all tags; omit one of them"
    both = [name for name in ("add_tags", "remove_tags") if name in given]
    if both:
        raise Refused([Problem(f"#/{name}", detail, "conflicting") for name in both])


def _apply(asked: JobChange, now: Annotations) -> Annotations:
    """The changed annotations. Raises Refused for too many tags."""
    kept = now.tags if asked.tags is None else asked.tags
    removed = set(asked.remove_tags or ())
    tags = tuple(dict.fromkeys(tag for tag in [*kept, *(asked.add_tags or ())] if tag not in removed))
    if len(tags) > MOST_TAGS:
        detail = f"the job would have {len(tags)} tags, expected up to {MOST_TAGS}; remove some"
        raise Refused([Problem("#/add_tags", detail, "too_many_tags")])
    return Annotations(tags=tags, note=now.note if asked.note is None else asked.note)
