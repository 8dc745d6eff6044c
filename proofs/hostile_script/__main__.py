"""Can a script do harm? `python -m proofs.hostile_script [--forks 6000]`.

Runs the attacks of `script.py` as root, which switches to a separate user, and as a plain user, with Landlock as in
this kernel and as in older ones. Every attack must be refused or have no effect, nothing outside the attempt's folder
may change, and no process may outlive the job. With `--forks` the script also starts as many processes as it can.
"""

import argparse
import sys

from proofs.hostile_script.run import KERNELS, attack_as


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forks", type=int, default=0, help="processes to try to start; default: none")
    forks = parser.parse_args().forks
    wrong = 0
    for user in ("root", "plain"):
        for kernel, abi in KERNELS.items():
            verdict = attack_as(user, abi, forks)
            found = [f"{name} worked: {verdict['attacks'][name][1]}" for name in verdict["worked"]] + verdict["wrong"]
            found += [] if verdict["closed"] else [f"the sandbox is open: {verdict['lacks']}"]
            print(f"{user:5}  {kernel:11}  {len(verdict['attacks'])} attacks, {len(found)} wrong", flush=True)
            for one in found:
                print(f"    {one}")
            wrong += len(found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
