"""A marker of `open/`: its name encodes a job's position in the queue."""

from dataclasses import dataclass
from typing import Self

from shared.ids import is_job_id
from shared.job import JobRecord
from shared.project import DEFAULT_PROJECT, is_project_name


@dataclass(frozen=True)
class OpenJob:
    """One marker of `open/`: a job that has no result yet. Markers' names sort in the order of a project's queue."""

    priority: int
    job_id: str
    project: str = DEFAULT_PROJECT

    @classmethod
    def of(cls, record: JobRecord) -> Self:
        """The marker of a job."""
        return cls(record.spec.priority, record.id, record.project)

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The marker with that name; None if it is not the name of a marker."""
        priority, _, rest = name.partition("-")
        job_id, dot, project = rest.partition(".")
        if not (priority.isdecimal() and is_job_id(job_id)) or (dot and not is_project_name(project)):
            return None
        return cls(int(priority), job_id, project or DEFAULT_PROJECT)

    @property
    def name(self) -> str:
        # The default project is left out, so that versions without projects can share the queue.
        project = "" if self.project == DEFAULT_PROJECT else f".{self.project}"
        return f"{self.priority}-{self.job_id}{project}"
