"""The exit statuses of a worker's child processes, which say why a process ended that could not write a file."""

from shared.storage import StorageCode

# The attempt belongs to another worker by now.
SUPERSEDED = 3
# Which storage failed, so that the run's conclusion could not be written.
STATUS_OF_STORAGE: dict[StorageCode, int] = {
    "volume_full": 4,
    "volume_error": 5,
    "worker_disk_full": 6,
    "worker_disk_error": 7,
}
CODE_OF_STATUS: dict[int, StorageCode] = {status: code for code, status in STATUS_OF_STORAGE.items()}
# From the GPU check: this is the CPU build of TensorFlow.
CPU_ONLY = 8
# What `multiprocessing` reports for a child whose fork server has ended.
SERVER_GONE = 255
