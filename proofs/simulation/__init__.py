"""The protocol alone, in simulated time: 100,000 whole random schedules of small worlds in minutes.

    python -m proofs.simulation --interleavings 100000 --seed 1      (`make simulate`)
    python -m proofs.simulation --bucket                              the same with the volume in a bucket
    python -m proofs.simulation --world 1000042                       one world again, with what happened in it

    world.py      who is there (workers, children, an API, Redis) and what happens to them, drawn from one seed
    kernel.py     time, machines with clocks of their own, processes that freeze and die between two file operations
    machinery.py  the simulated world in the place of os, time and threading, below the product's own code
    bucket.py     a world whose volume is in a bucket, with a folder for each machine
    eye.py        sees every file operation and every batch, and says which promise was broken

Claim, beat, self-stop, sweep, take-over, finish, drain and cancel are the product's code, unchanged, on a real folder.
Nothing is left to the machine: the same seed is the same world to the last file operation.
"""
