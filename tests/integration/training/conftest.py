"""The data of the runs that tests start and kill."""

import pytest

from shared.volume import Volume
from tests.support.both_stores import Machines
from tests.support.jobs import learnable_frame, put_dataset


@pytest.fixture
def graded(volume: Volume, machines: Machines) -> Volume:
    """A volume with the dataset `grades` of 160 rows."""
    put_dataset(volume, learnable_frame(160))
    machines.upload(volume.datasets)
    return volume
