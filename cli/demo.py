"""The article's job from nothing to its result: the data, the post, the watching, the summary."""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.client import Client, Json
from cli.errors import Refused
from cli.output import hint
from cli.set_options import assigned
from cli.summary import Ended, print_summary
from cli.watch import watch
from cli.wine import UCI_URL, WINE_ID, NoWine, fetch_wine, write_breast_cancer

_NO_ID = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True)
class DemoData:
    """A file to train on, and the dataset's id where nobody has other bytes under it."""

    path: Path
    dataset_id: str


def find_data(given: Path | None, folder: Path, environment: Mapping[str, str] = os.environ) -> DemoData:
    """The file that was given; else the wine from the internet; else, with a line that says so, the shipped data."""
    if given is not None:
        return DemoData(given, dataset_id_of(given))
    try:
        path = fetch_wine(folder / "downloads", environment.get("FITSTOP_WINE_URL") or UCI_URL)
    except NoWine as error:
        hint(f"The wine data can't be had ({error}); taking the breast-cancer data that scikit-learn ships.")
        return DemoData(write_breast_cancer(folder / "downloads"), "breast-cancer")
    return DemoData(path, WINE_ID)


def dataset_id_of(path: Path) -> str:
    """An id for a file: that of the wine where its first line names a `quality`, else what its name suggests."""
    with path.open("rb") as file:
        columns = [cell.strip(b'" \r\n') for cell in file.readline(64 * 1024).split(b",")]
    if b"quality" in columns:
        return WINE_ID
    return _NO_ID.sub("-", path.stem.lower()).strip("-._")[:48] or "data"


def upload(client: Client, data: DemoData) -> Json:
    """Put the data on the service. Where other bytes have its id, the id gets the sha256's first eight digits."""
    try:
        return client.put_dataset(data.dataset_id, data.path)
    except Refused as error:
        if error.problem.status != 409:
            raise
    with data.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return client.put_dataset(f"{data.dataset_id}-{digest[:8]}", data.path)


def spec_for(dataset: Json) -> Json:
    """The article's job where the data has a `quality`; else one that predicts the last column. The rest is default."""
    columns = [column["name"] for column in dataset["columns"]]
    if "quality" in columns:
        wine = {"id": dataset["id"], "target": "quality", "positive": {"at_least": 6}}
        return {"name": WINE_ID, "dataset": wine}
    hint(f'Predicting the last column, "{columns[-1]}".')
    return {"name": dataset["id"], "dataset": {"id": dataset["id"], "target": columns[-1]}}


def run_demo(client: Client, data: DemoData, volume: Path, assignments: list[str]) -> Json:
    """Upload, post, watch, sum up; answers the job when it is over."""
    dataset = upload(client, data)
    hint(f"Dataset {dataset['id']}: {dataset['rows']} rows, {len(dataset['columns'])} columns, from {data.path}")
    spec = assigned(spec_for(dataset), assignments)
    began = time.monotonic()
    posted = client.submit(spec)
    hint(f"Job {posted['id']} is posted.")
    for warning in posted.get("warnings") or []:
        hint(f"warning: {warning}")
    job = watch(client, posted["id"])
    print_summary(Ended(client, job, volume, time.monotonic() - began))
    return job
