"""Resume points: the complete state of a run after an epoch or inside one, from which the next attempt resumes exactly.

    point.py        the file of a resume point: complete or absent, hashed
    state.py        captures and restores the model, the optimizer and the random generators
    parts.py        the callbacks, the log and the checkpoints, whose state is also saved
    computed_by.py  the libraries, the processor and the device that compute a run's numbers
    store.py        the points of a job: keeps the last two; if one is damaged, reports that and uses the one before it
    session.py      finds, restores and saves the points of one run
    take_over.py    what a new attempt copies from the previous one: the log's rows, the checkpoints

On a CPU, a run that was killed and resumed ends at the same epoch, with the same log and the same weights, bit for bit,
as one that was not. Keras's own BackupAndRestore does not save the callbacks' state (keras#14862, #17012), the random
generators and the log. `worker/training/extend.py` adapts a point for a job that extends another one.
"""
