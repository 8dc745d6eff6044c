"""The exit statuses of a worker's child processes. They say why a process ended if it could not write a file."""

from shared.storage import StorageCode

# The attempt belongs to another worker now.
SUPERSEDED = 3
# The run's conclusion could not be written, because this storage failed.
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
