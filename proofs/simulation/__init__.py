"""The protocol alone, in simulated time: 100,000 complete random schedules of small worlds in minutes.

    python -m proofs.simulation --interleavings 100000 --seed 1      (`make simulate`)
    python -m proofs.simulation --bucket                              the same with the volume in a bucket
    python -m proofs.simulation --world 1000042                       one world again, with what happened in it

    world.py      workers, children, an API and Redis, and what happens to them, drawn from one seed
    kernel.py     time, machines with their own clocks, processes that freeze and die between two file operations
    machinery.py  the simulated world in place of os, time and threading, below the product's own code
    bucket.py     a world whose volume is in a bucket, with a folder for each machine
    eye.py        sees every file operation and every batch, and reports the broken promise

Claim, beat, self-stop, patrol, take-over, finish, drain and cancel are the product's code, unchanged, on a real folder.
Nothing depends on the machine: the same seed gives the same world, down to the last file operation.
"""
