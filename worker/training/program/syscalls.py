"""The numbers of the system calls that the filter knows, on x86-64 and on aarch64.

From asm/unistd_64.h and asm-generic/unistd.h; a test compares them with the headers.
"""

from collections.abc import Mapping

# Name, number on x86-64, number on aarch64; "-" if there is no such call.
_TABLE = """
unshare 272 97,  setns 308 268,  mount 165 40,  umount2 166 39,  pivot_root 155 41,  chroot 161 51,
open_tree 428 428,  move_mount 429 429,  fsopen 430 430,  fsconfig 431 431,  fsmount 432 432,  fspick 433 433,
mount_setattr 442 442,  open_tree_attr 467 467,  clone 56 220,  clone3 435 435,
ptrace 101 117,  process_vm_readv 310 270,  process_vm_writev 311 271,  kcmp 312 272,  pidfd_getfd 438 438,
process_madvise 440 440,  process_mrelease 448 448,  migrate_pages 256 238,  move_pages 279 239,  setsid 112 157,
setpgid 109 154,  kill 62 129,  tkill 200 130,  tgkill 234 131,  rt_sigqueueinfo 129 138,  rt_tgsigqueueinfo 297 240,
pidfd_send_signal 424 424,  prlimit64 302 261,  setpriority 141 140,  ioprio_set 251 30,  sched_setaffinity 203 122,
sched_setscheduler 144 119,  sched_setparam 142 118,  sched_setattr 314 274,
keyctl 250 219,  add_key 248 217,  request_key 249 218,  bpf 321 280,  perf_event_open 298 241,  userfaultfd 323 282,
io_uring_setup 425 425,  io_uring_enter 426 426,  io_uring_register 427 427,  kexec_load 246 104,
kexec_file_load 320 294,  init_module 175 105,  finit_module 313 273,  delete_module 176 106,  reboot 169 142,
swapon 167 224,  swapoff 168 225,  acct 163 89,  quotactl 179 60,  quotactl_fd 443 443,  syslog 103 116,
settimeofday 164 170,  clock_settime 227 112,  adjtimex 159 171,  clock_adjtime 305 266,  sethostname 170 161,
setdomainname 171 162,  vhangup 153 58,  iopl 172 -,  ioperm 173 -,  modify_ldt 154 -,  lookup_dcookie 212 18,
ioctl 16 29,  fcntl 72 25,  prctl 157 167,
name_to_handle_at 303 264,  open_by_handle_at 304 265,  fanotify_init 300 262,  fanotify_mark 301 263,
inotify_init 253 -,  inotify_init1 294 26,  inotify_add_watch 254 27,  mknod 133 -,  mknodat 259 33,  symlink 88 -,
symlinkat 266 36,  openat 257 56,  open 2 -,  openat2 437 437,  creat 85 -,  truncate 76 45,  chmod 90 -,
fchmod 91 52,  fchmodat 268 53,  fchmodat2 452 452,  chown 92 -,  fchown 93 55,  lchown 94 -,  fchownat 260 54,
utime 132 -,  utimes 235 -,  futimesat 261 -,  utimensat 280 88,  setxattr 188 5,  lsetxattr 189 6,  fsetxattr 190 7,
removexattr 197 14,  lremovexattr 198 15,  fremovexattr 199 16,  setxattrat 463 463,  removexattrat 466 466,
file_setattr 469 469,
shmget 29 194,  shmat 30 196,  shmctl 31 195,  msgget 68 186,  msgsnd 69 189,  msgrcv 70 188,  msgctl 71 187,
semget 64 190,  semop 65 193,  semctl 66 191,  semtimedop 220 192,  mq_open 240 180,  mq_unlink 241 181,
socket 41 198,  socketpair 53 199
"""


def _parse(cell: str) -> int | None:
    return None if cell == "-" else int(cell)


NUMBERS: Mapping[str, tuple[int | None, int | None]] = {
    name: (_parse(first), _parse(second)) for name, first, second in map(str.split, _TABLE.split(","))
}
