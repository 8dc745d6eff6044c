"""A short part of `make hostile-clients`: clients without a key do not stop the API."""

import statistics
from collections.abc import Iterator

import pytest

from proofs.hostile_clients import ATTACKS, MOST_MEGABYTES, Attack, Measuring, measuring
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.redis import RedisServer


@pytest.fixture(scope="module")
def attacked(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An API for all attacks and no other test, because some attacks measure what it holds."""
    folder = tmp_path_factory.mktemp("attacked")
    api = ApiProcess(Volume(folder / "volume"), redis_server.url, folder / "api.log")
    api.start()
    yield api
    api.stop()


@pytest.fixture(scope="module")
def machine() -> Iterator[Measuring]:
    with measuring() as found:
        yield found


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_beside_an_attack_the_api_answers(machine: Measuring, attacked: ApiProcess, attack: Attack) -> None:
    seen = machine.beside(attack, attacked, 1, share=0.5)
    # More than promised, because other tests may use the machine's cores at the same time.
    assert statistics.median(seen.taken) < 200 + 10 * statistics.median(seen.bare)
    assert seen.megabytes < MOST_MEGABYTES
