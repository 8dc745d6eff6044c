"""The proof that no job is lost, doubled or changed, whatever is done to any process.

    python -m proofs.chaos --jobs 100 --faults 300 --seed 1     a seeded monkey against the whole service
    python -m proofs.chaos bells                                Redis flushed, unavailable for a minute, then empty

    stand.py     the service: a small volume, Redis, the API, workers, each behind a link that can be cut
    services.py  processes, and the supervisor that restarts those that were killed
    work.py      the jobs: a few specs, each with one untouched twin
    customer.py  posts, cancels and reads jobs, only through the API
    monkey.py    draws the faults from the seed; faults.py carries them out
    watcher.py   writes the append-only log: who trains, what is torn, which result changed
    judge.py     reads only the log and the volume, and judges the promises
    bells.py     the scenario for the queue

The seed fixes which faults come and when they are drawn. Which line of code each fault hits depends on the machine.
"""
