"""A script that attacks everything around it; `make hostile-script` tries more kernels."""

import pytest

from proofs.hostile_script.run import attack_as
from tests.support.sandboxed import skip_where_it_cannot
from worker.training.program.landlock import landlock_abi


@pytest.mark.skipif(landlock_abi() < 6, reason="this kernel's Landlock is older than Linux 6.12")
@pytest.mark.parametrize("user", ["root", "plain"])
@pytest.mark.parametrize("abi", [None, 1], ids=["this kernel", "Linux 5.13"])
def test_no_attack_of_a_script_comes_to_anything(user: str, abi: int | None) -> None:
    skip_where_it_cannot(user)
    verdict = attack_as(user, abi)
    assert verdict["closed"]
    assert len(verdict["attacks"]) > 90
    assert {name: verdict["attacks"][name] for name in verdict["worked"]} == {}
    assert verdict["wrong"] == []
