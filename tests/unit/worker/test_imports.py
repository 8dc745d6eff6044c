"""Who imports whom is kept by import-linter; here, that its list of the worker's modules is complete."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_contract_names_every_module_of_the_workers_own_process() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = next(contract for contract in contracts if "worker.service" in contract["source_modules"])["source_modules"]
    there = {f"worker.{path.stem}" for path in (ROOT / "worker").glob("*.py") if not path.stem.startswith("__")}
    assert set(named) == there
