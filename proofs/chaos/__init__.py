"""The proof that no job is lost, doubled or changed, whatever is done to any process.

    python -m proofs.chaos --jobs 100 --faults 300 --seed 1     a seeded monkey against the whole service
    python -m proofs.chaos bells                                Redis wiped, away for a minute, replaced by an empty one

    stand.py     the service: a small volume, Redis, the API, workers, each behind a link that can be cut
    services.py  processes, and the supervisor that starts again what was killed
    work.py      the jobs: few specs, each with one untouched twin
    customer.py  posts, cancels and looks, through the API alone
    monkey.py    the faults, drawn from the seed; faults.py does them
    watcher.py   writes the append-only log: who trains, what is torn, which result changed
    judge.py     reads the log and the volume, nothing else, and judges the promises
    bells.py     the queue's own scenario

The seed fixes which faults come and when they are drawn; which line of code each of them hits, the machine decides.
"""
