"""Runs an example job from start to finish: uploads the data, submits, watches, and prints a summary."""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fitstop.client import Client, Json
from fitstop.errors import Refused
from fitstop.local.digits import DIGITS_ID, write_digits
from fitstop.local.wine import UCI_URL, WINE_ID, NoWine, fetch_wine, write_breast_cancer
from fitstop.set_options import assign
from fitstop.terminal.datasets import describe_content
from fitstop.terminal.output import hint
from fitstop.terminal.summary import Ended, print_summary
from fitstop.terminal.watch import watch
from fitstop.upload import open_upload

_NO_ID = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True)
class DemoData:
    """A file or folder to train on, and the dataset id to try first."""

    path: Path
    dataset_id: str


def find_data(given: Path | None, folder: Path, environment: Mapping[str, str] = os.environ) -> DemoData:
    """The given file; else the downloaded wine data; else, with a hint, scikit-learn's data."""
    if given is not None:
        return DemoData(given, dataset_id_of(given))
    try:
        path = fetch_wine(folder / "downloads", environment.get("FITSTOP_WINE_URL") or UCI_URL)
    except NoWine as error:
        hint(f"The wine data cannot be downloaded ({error}). Using scikit-learn's breast-cancer data instead.")
        return DemoData(write_breast_cancer(folder / "downloads"), "breast-cancer")
    return DemoData(path, WINE_ID)


def find_images(folder: Path) -> DemoData:
    """scikit-learn's digits as images."""
    return DemoData(write_digits(folder / "downloads"), DIGITS_ID)


def dataset_id_of(path: Path) -> str:
    """A dataset id for a file: that of the wine data if it has a column `quality`, else one from the file's name."""
    with path.open("rb") as file:
        columns = [cell.strip(b'" \r\n') for cell in file.readline(64 * 1024).split(b",")]
    if b"quality" in columns:
        return WINE_ID
    return _NO_ID.sub("-", path.stem.lower()).strip("-._")[:48] or "data"


def upload(client: Client, data: DemoData) -> Json:
    """Upload the data. If the id has other data, append the first eight digits of the SHA-256 to it."""
    try:
        return client.put_dataset(data.dataset_id, data.path)
    except Refused as error:
        if error.problem.status != 409:
            raise
    digest = hashlib.sha256()
    for piece in open_upload(data.path).pieces():
        digest.update(piece)
    return client.put_dataset(f"{data.dataset_id}-{digest.hexdigest()[:8]}", data.path)


def spec_for(dataset: Json) -> Json:
    """The spec for the data. For a table: the article's if it has a column `quality`, else it predicts the last column.

    Everything else has its default, which for images is a convolutional network.
    """
    if dataset.get("kind") == "images":
        return {"name": dataset["id"], "dataset": {"id": dataset["id"]}}
    columns = [column["name"] for column in dataset["columns"]]
    if "quality" in columns:
        wine = {"id": dataset["id"], "target": "quality", "positive": {"at_least": 6}}
        return {"name": WINE_ID, "dataset": wine}
    hint(f'Predicting the last column, "{columns[-1]}".')
    return {"name": dataset["id"], "dataset": {"id": dataset["id"], "target": columns[-1]}}


def run_demo(client: Client, data: DemoData, volume: Path | None, assignments: list[str]) -> Json:
    """Upload, submit, watch and print the summary. Returns the finished job."""
    dataset = upload(client, data)
    hint(f"Dataset {dataset['id']}: {describe_content(dataset)}, from {data.path}")
    spec = assign(spec_for(dataset), assignments)
    began = time.monotonic()
    posted = client.submit(spec)
    hint(f"Job {posted['id']} submitted.")
    for warning in posted.get("warnings") or []:
        hint(f"warning: {warning}")
    job = watch(client, posted["id"])
    print_summary(Ended(client, job, volume, time.monotonic() - began))
    return job
