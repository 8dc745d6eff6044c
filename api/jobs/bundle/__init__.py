"""GET /jobs/{id}/bundle.zip: everything needed to predict on a machine without Fitstop.

The archive is written while it is sent. Its files are not compressed, since a model hardly shrinks. Its bytes depend
only on the files in it, so the same job gives the same archive. Its length and its SHA-256 are in the headers: for the
first request, the archive is written once without being sent, to measure it.
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import BinaryIO

from flask import Response, request
from typing_extensions import Buffer

from api.auth.projects import find_job
from api.auth.quotas import costly_read
from api.http.operation import IF_NONE_MATCH, NOT_MODIFIED, Answer, operation
from api.http.query import no_query
from api.jobs.files import open_checkpoint, repr_digest, whole_rows
from api.jobs.report import kept_checkpoints
from api.shapes.jobs import as_posted
from shared.document import read_document
from shared.inference import InferenceFacts
from shared.job import JobRecord
from shared.job_folder import AttemptFolder
from shared.manifest import Checkpoint
from shared.plain_files import MOST_FILE_BYTES, read_plain
from shared.problems import NotFound
from shared.spec import ProgramJobSpec, TableSpec

_PIECE_BYTES = 256 * 1024
_OLDEST = (1980, 1, 1, 0, 0, 0)
_EXISTS = 0o100644 << 16
_MOST_MEASURED = 1000
# Read and never imported: it needs libraries that an API host does not have.
_PREPARE_FILE = Path(__file__).parents[3] / "worker" / "training" / "prepare.py"


@dataclass(frozen=True)
class _Part:
    name: str
    file: BinaryIO


@operation(
    "getBundle",
    "files",
    "Download the bundle: model, preprocessing and predict.py",
    {
        200: Answer(
            "The archive.",
            {"application/zip": {"type": "string", "format": "binary"}},
            headers=("Content-Disposition", "ETag", "Repr-Digest"),
        ),
        304: NOT_MODIFIED,
    },
    headers=IF_NONE_MATCH,
    errors=(404,),
)
def bundle(job_id: str) -> Response:
    """Download the bundle of the newest attempt that has a model."""
    no_query()
    job = find_job(job_id)
    record = job.record()
    if record is not None and isinstance(record.spec, ProgramJobSpec):
        raise NotFound(
            "a job that runs a program has no bundle: only its script knows how rows become inputs; "
            f"download its model (GET /jobs/{job_id}/model)"
        )
    kept = kept_checkpoints(job.runs())
    best = kept[1].find(kept[1].best) if kept and kept[1].best else None
    if record is None or kept is None or best is None:
        raise NotFound("there is no model yet: no checkpoint has been saved")
    attempt = kept[0]
    facts = _facts(attempt)
    texts = _texts(record, attempt, best, facts)
    # All files are open before the first byte is sent, so a job that is deleted in the meantime is sent completely.
    model = open_checkpoint(attempt, best)
    parts = [_Part(_model_name(best), model), *(_Part(name, BytesIO(content)) for name, content in texts.items())]
    etag = _digest(best, texts)
    try:
        measure = _find_measure(etag, job_id, parts)
    except BaseException:
        model.close()
        raise
    response = Response(_archive(job_id, parts), content_type="application/zip")
    response.call_on_close(model.close)
    response.set_etag(etag)
    response.headers.set("Content-Disposition", "attachment", filename=f"{job_id}.zip")
    response.headers["Repr-Digest"] = repr_digest(measure.sha256)
    # Without a length, make_conditional reads the whole body into memory to find it.
    response.content_length = measure.bytes
    response.make_conditional(request.environ)
    return response


def _facts(attempt: AttemptFolder) -> InferenceFacts:
    facts = read_document(attempt.inference_file, InferenceFacts)
    if facts is None:
        raise NotFound("this job was trained by an older worker, without inference.json; retry it to get a bundle")
    return facts


def _texts(record: JobRecord, attempt: AttemptFolder, best: Checkpoint, facts: InferenceFacts) -> dict[str, bytes]:
    """The small files by name, in the order of the archive."""
    document = {
        "id": record.id,
        "created_at": record.created_at,
        "model": _model_name(best),
        "checkpoint": best.model_dump(mode="json"),
        "classes": facts.classes,
        "task": record.data_task.model_dump(mode="json"),
        "data_sha256": record.data_sha256,
        "spec": as_posted(record.spec),
    }
    return {
        **_preparation(record, attempt),
        "job.json": json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n",
        "training_log.csv": whole_rows(read_plain(attempt.training_log, MOST_FILE_BYTES) or b""),
        "predict.py": files("api.jobs.bundle").joinpath("predict.py.txt").read_bytes(),
        "requirements.txt": "".join(f"{name}=={number}\n" for name, number in facts.versions.items()).encode(),
    }


def _preparation(record: JobRecord, attempt: AttemptFolder) -> dict[str, bytes]:
    """The program that prepared the rows for this model, and its schema; for a table also the fitted steps.

    An attempt on a table by an older version has no such program. It gets the current one, which reads the columns from
    the fitted steps.
    """
    program, schema = read_plain(attempt.prepare_file), read_plain(attempt.schema_file)
    found = None if program is None or schema is None else {"prepare.py": program, "schema.json": schema}
    if not isinstance(record.data_spec.dataset, TableSpec):
        if found is None:
            raise NotFound("the program that prepares the rows is not with the model")
        return found
    steps = read_plain(attempt.preprocessing_file, MOST_FILE_BYTES)
    if steps is None:
        raise NotFound("there is no fitted preprocessing with the model")
    return {"preprocessing.skops": steps, **(found or {"prepare.py": _PREPARE_FILE.read_bytes()})}


def _model_name(best: Checkpoint) -> str:
    return "model" + best.name[best.name.rfind(".") :]


def _digest(best: Checkpoint, texts: dict[str, bytes]) -> str:
    digest = sha256(best.sha256.encode())
    for name, content in texts.items():
        digest.update(f"\n{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Measure:
    """The length of a whole archive in bytes, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


# By ETag. A measure never changes, so two threads may measure the same archive.
_measures: dict[str, _Measure] = {}


def _find_measure(etag: str, folder: str, parts: Sequence[_Part]) -> _Measure:
    found = _measures.get(etag)
    if found is None:
        with costly_read():
            found = _measures[etag] = _measure(folder, parts)
        for oldest in list(_measures)[:-_MOST_MEASURED]:
            _measures.pop(oldest, None)
    return found


def _measure(folder: str, parts: Sequence[_Part]) -> _Measure:
    digest, length = sha256(), 0
    for piece in _archive(folder, parts):
        digest.update(piece)
        length += len(piece)
    return _Measure(length, digest.hexdigest())


class _Buffer(RawIOBase):
    """A file without seek, from which the written bytes are taken piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Buffer) -> int:
        content = bytes(piece)
        self._pieces.append(content)
        return len(content)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _archive(folder: str, parts: Sequence[_Part]) -> Iterator[bytes]:
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part in parts:
            entry = zipfile.ZipInfo(f"{folder}/{part.name}", _OLDEST)
            entry.external_attr, entry.create_system = _EXISTS, 3
            part.file.seek(0)
            with archive.open(entry, "w", force_zip64=True) as target:
                while piece := part.file.read(_PIECE_BYTES):
                    target.write(piece)
                    yield buffer.take()
    yield buffer.take()
