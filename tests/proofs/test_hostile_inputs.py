"""A part of the catalogue of hostile inputs. The proof must also report an input that is not refused."""

from collections.abc import Iterator

import pytest

from proofs import hostile_inputs
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.archives import class_folders, zip_of
from tests.support.hostile_inputs import HostileInput, catalogue
from tests.support.redis import running_redis


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder = tmp_path_factory.mktemp("hostile")
    with running_redis(folder) as redis:
        api = ApiProcess(Volume(folder / "volume"), redis.url, folder / "api.log")
        api.start()
        try:
            yield api
        finally:
            api.stop()


def test_hostile_inputs_of_each_kind_are_refused_and_leave_nothing(served: ApiProcess) -> None:
    assert len(list(catalogue("arrays"))) >= 60
    assert hostile_inputs.send_all(served, every=12) == []


def test_an_input_that_is_taken_is_a_fault_and_so_is_what_it_leaves(
    served: ApiProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = HostileInput("pets", "PUT", "/datasets/pets", lambda: zip_of(class_folders(4)))
    monkeypatch.setattr(hostile_inputs, "catalogue", lambda _: [good])
    faults = hostile_inputs.send_all(served)
    assert any(fault.startswith("pets: answered 201") for fault in faults)
    assert any(fault == "pets: left datasets/pets/dataset.json" for fault in faults)
