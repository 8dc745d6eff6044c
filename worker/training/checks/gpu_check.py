"""`python -m worker.training.checks.gpu_check`: whether this process can compute on the GPU.

Exit status 0 if it can, 1 if it cannot, CPU_ONLY if this is the CPU build of TensorFlow.

A worker runs this check in a child process at its start: a process that is forked after its parent has used a GPU
cannot use one, and a driver that does not match this TensorFlow fails only in use.
"""

import sys

import tensorflow as tf

from worker.ipc.exit_statuses import CPU_ONLY


def main() -> int:
    """Multiply two small matrices on the first GPU."""
    if not tf.test.is_built_with_cuda():
        sys.stderr.write("this is the CPU build of TensorFlow\n")
        return CPU_ONLY
    try:
        with tf.device("/GPU:0"):
            total = float(tf.reduce_sum(tf.matmul(tf.ones((8, 8)), tf.ones((8, 8)))))
    except (tf.errors.OpError, RuntimeError) as error:
        sys.stderr.write(f"the GPU cannot be used: {error}\n")
        return 1
    return 0 if total == 512.0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
