"""The errors of the client.

ClientError             everything that `fitstop.client` raises
├── Unreachable         no answer from that address, or an incomplete one
├── Damaged             a download whose bytes are not those that the service saved
├── Unsendable          a folder that cannot be packed, or a file that changed while it was sent
├── CannotSend          a call of `fitstop.fit` with parts that cannot be sent; names all of them
├── JobFailed           the job that was waited for has failed
└── Answered            the service refused; has its problem document
    ├── NotFound        404
    ├── Denied          401, 403
    ├── Refused         every other 4xx
    └── ApiError        5xx, and answers that are not Fitstop's
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class FieldProblem:
    """One field of a request that is wrong, with its JSON pointer."""

    pointer: str
    detail: str
    code: str

    def __str__(self) -> str:
        """The field as a person writes it, and the problem: `dataset.target: missing`."""
        parts = unquote(self.pointer).removeprefix("#").removeprefix("/").split("/")
        field = ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)
        return f"{field}: {self.detail}" if field else self.detail


@dataclass(frozen=True)
class Problem:
    """An RFC 9457 problem document. Fields that the answer does not have are empty."""

    status: int
    title: str
    detail: str = ""
    code: str = ""
    errors: tuple[FieldProblem, ...] = ()
    request_id: str = ""

    @classmethod
    def from_document(cls, status: int, document: Any) -> "Problem":
        """The problem in the JSON of an answer. Never raises: fields of a wrong type are left out."""
        if not isinstance(document, dict):
            return cls(status, f"HTTP {status}")
        listed = document.get("errors")
        fields = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return cls(
            status,
            _text(document, "title") or f"HTTP {status}",
            _text(document, "detail"),
            _text(document, "code"),
            tuple(FieldProblem(_text(one, "pointer"), _text(one, "detail"), _text(one, "code")) for one in fields),
            _text(document, "request_id"),
        )


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return "" if value is None else str(value)


class ClientError(Exception):
    """The base class of all errors of the client."""


class Unreachable(ClientError):
    """No answer from that address, or an incomplete one."""


class Damaged(ClientError):
    """A download whose length or sha256 is not what the service announced; nothing of it was kept."""


class Unsendable(ClientError):
    """A folder that cannot be packed, or a file that changed while it was sent."""


class CannotSend(ClientError):
    """Arguments of `fitstop.fit` that cannot be sent: `problems` has a sentence for each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        listed = "".join(f"\n- {one}" for one in problems)
        advice = "Change these parts, or run the whole script as a job, with code of your own: fitstop run train.py"
        super().__init__(f"this call cannot be sent to Fitstop:{listed}\n{advice}")


class JobFailed(ClientError):
    """The job that was waited for has failed; `job` is its document."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        error = job.get("error") or {}
        super().__init__(f"the job {job.get('id')} failed: {error.get('code')}: {error.get('message')}")


class Answered(ClientError):
    """The service answered with an error; `problem` is its document."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail or problem.title)
        # For tracebacks, which show notes. The command prints the fields itself.
        for one in problem.errors:
            self.add_note(str(one))


class NotFound(Answered):
    """The requested object does not exist."""


class Denied(Answered):
    """The API key is missing, wrong, or not allowed to do this."""


class Refused(Answered):
    """The request is not valid; `problem.errors` lists every field that is wrong."""


class ApiError(Answered):
    """The service failed, or the answer is not Fitstop's."""


def error_of(status: int, document: Any) -> Answered:
    """The error for an answer with this status and JSON."""
    problem = Problem.from_document(status, document)
    if status == 404:
        return NotFound(problem)
    if status in {401, 403}:
        return Denied(problem)
    return Refused(problem) if 400 <= status < 500 else ApiError(problem)
