"""The resume point: all that a run is made of after an epoch, or inside one, so that the next attempt resumes exactly.

    point.py      the file: whole or absent, hashed
    state.py      what is captured from the model, the optimizer and the random generators, and put back
    computed_by.py  what computes its numbers: libraries, processor, device
    store.py      the points of a job: the last two are kept, a damaged one is reported and the one before it used
    take_over.py  what a new attempt takes from the one before it: the log's rows, the checkpoints
    extend.py     a point of another job, made the beginning of one that carries on with it under other settings

A killed run that resumes at a point ends at the same epoch with the same log and the same weights as one that was
never touched, bit for bit on a CPU. Keras's own BackupAndRestore forgets the callbacks' state (keras#14862, #17012),
the random generators and the log.
"""
