"""Functions for scripts that run as a job's program (`fitstop run`)."""

import os
import re
from pathlib import Path

_NOT_IN_NAMES = re.compile("[^A-Z0-9]")


def dataset_path(dataset_id: str) -> Path:
    """The path of a dataset of the job: `data.parquet`, or the folder with a `.npy` file for each array.

    Raises LookupError if the job does not name the dataset. Outside a job, set the environment variable that the error
    names.
    """
    variable = f"FITSTOP_DATASET_{_NOT_IN_NAMES.sub('_', dataset_id.upper())}"
    place = os.environ.get(variable)
    if place is None:
        raise LookupError(f'the job names no dataset "{dataset_id}"; add it to program.datasets, or set {variable}')
    return Path(place)
