"""A short part of `make hostile-clients`: clients without a key do not stop the API."""

import statistics

import pytest

from proofs.hostile_clients import ATTACKS, Attack, beside
from tests.support.api_process import ApiProcess


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_beside_an_attack_the_api_answers(api: ApiProcess, attack: Attack) -> None:
    # Five times what is promised: other tests may have the machine's cores at this moment.
    assert statistics.median(beside(attack, api, 2, share=0.25).taken) < 1000
