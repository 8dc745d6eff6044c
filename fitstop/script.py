"""Runs a script as a job: uploads its folder as a program, and submits a job that runs the program."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fitstop.client import Client, Json
from fitstop.errors import NotFound, Unsendable
from fitstop.packing import Pack, pack
from fitstop.run import Run, open_client
from fitstop.terminal.output import size

_MOST_ID = 64
_SHOWN_FILES = 5


def run_script(  # noqa: PLR0913  one argument for each choice of `fitstop run`
    script: str | Path,
    arguments: Sequence[str] = (),
    *,
    requirements: str | Path | None = None,
    datasets: Sequence[str] = (),
    network: bool = False,
    early_stopping: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    program: str | None = None,
    name: str | None = None,
    client: Client | None = None,
    url: str | None = None,
) -> Run:
    """Run a script, or a folder with a `main.py` or `train.py`, as a job on the service, and do not wait.

    The script's folder is uploaded, without files that .gitignore or .fitstopignore lists, unless the service has these
    files already. `program` is the program's id on the service; default: the folder's name. The other arguments are
    those of `program` in a job's spec. Raises Unsendable if the folder cannot be packed, and Refused with every
    problem.
    """
    opened, packed = open_client(client, url), pack(Path(script), None if requirements is None else Path(requirements))
    program_id = program or program_id_of(packed)
    version = find_version(opened, packed, program_id) or send_program(opened, packed, program_id)
    spec = job_spec(
        version,
        entry=packed.entry,
        arguments=arguments,
        datasets=datasets,
        environment=environment or {},
        network=network,
        early_stopping=early_stopping,
        budget=budget,
        name=name,
    )
    return Run(opened, opened.submit(spec)["id"])


def job_spec(  # noqa: PLR0913  one argument for each choice of `fitstop run`
    version: Json,
    *,
    entry: str | None,
    arguments: Sequence[str],
    datasets: Sequence[str],
    environment: Mapping[str, str],
    network: bool,
    early_stopping: Mapping[str, Any] | None,
    budget: Mapping[str, Any] | None,
    name: str | None,
) -> Json:
    """The spec of a job that runs this version of a program."""
    return {
        "program": {
            "id": version["id"],
            "version": version["version"],
            "entry": entry,
            "arguments": list(arguments),
            "datasets": list(datasets),
            "environment": dict(environment),
            "network": network,
        },
        "callbacks": {"early_stopping": early_stopping and dict(early_stopping)},
        "budget": budget and dict(budget),
        "name": name,
    }


def program_id_of(packed: Pack) -> str:
    """The default id of a program: the folder's name, with characters that an id cannot have replaced."""
    name = re.sub(r"[^a-z0-9._-]+", "-", packed.folder.resolve().name.lower()).lstrip("._-").rstrip("-")
    return name[:_MOST_ID] or "program"


def find_version(client: Client, packed: Pack, program_id: str) -> Json | None:
    """The version with these files, if the service has it; else None."""
    with suppress(NotFound):
        return client.program(program_id, packed.version)
    return None


def send_program(
    client: Client, packed: Pack, program_id: str, on_sent: Callable[[int, int], None] | None = None
) -> Json:
    """Upload the files as the latest version of the program, and return it. Raises Unsendable above the limits."""
    _check_limits(packed, client.limits()["program"])
    return client.put_program(program_id, packed.upload(), on_sent=on_sent)


def _check_limits(packed: Pack, limits: Json) -> None:
    """Raise Unsendable, which names the largest files, if the service does not accept a program of this size."""
    advice = "upload data as a dataset (fitstop datasets put), or name it in .fitstopignore"
    if packed.bytes > limits["bytes"]:
        largest = sorted(packed.files, key=lambda file: file.size, reverse=True)[:_SHOWN_FILES]
        listed = ", ".join(f"{file.name} ({size(file.size)})" for file in largest)
        detail = f"the program has {size(packed.bytes)}, and the service takes {size(limits['bytes'])}"
        raise Unsendable(f"{detail}; {advice}. The largest files: {listed}")
    if len(packed.files) > limits["files"]:
        raise Unsendable(
            f"the program has {len(packed.files)} files, and the service takes {limits['files']}; {advice}"
        )
