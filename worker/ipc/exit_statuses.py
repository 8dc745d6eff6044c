"""The exit statuses of a worker's child processes. They say why a process ended if it could not write a file.

They are large, because a script that ends its own process usually has a small one.
"""

from shared.storage import StorageCode

# The attempt belongs to another worker now, or seemed to: its worker's heartbeat was too old.
SUPERSEDED = 93
# The run's conclusion could not be written, because this storage failed.
STATUS_OF_STORAGE: dict[StorageCode, int] = {
    "volume_full": 94,
    "volume_error": 95,
    "worker_disk_full": 96,
    "worker_disk_error": 97,
}
CODE_OF_STATUS: dict[int, StorageCode] = {status: code for code, status in STATUS_OF_STORAGE.items()}
# From the GPU check: this is the CPU build of TensorFlow.
CPU_ONLY = 98
# What `multiprocessing` reports for a child whose fork server has ended.
SERVER_GONE = 255
