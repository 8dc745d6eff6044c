"""`python -m proofs.contract --examples 100`: many requests that compare the API with its own OpenAPI document."""

import argparse
import sys
import tempfile
from pathlib import Path

from proofs.contract.run import contract_api, prepare, run
from tests.support.redis import running_redis


def main() -> int:
    """Exit status 0 only if no answer was a 5xx or contradicted the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="for each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis:
        api = contract_api(Path(folder), redis.url)
        api.start()
        try:
            done = run(api, prepare(api), asked.examples, "examples,coverage,fuzzing,stateful", asked.seed)
        finally:
            api.stop()
        print(done.stdout + done.stderr)
        print(Path(folder, "api.log").read_text()[-20_000:], file=sys.stderr)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
