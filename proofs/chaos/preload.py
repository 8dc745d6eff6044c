"""A library that is loaded before all others: steps one process's wall clock, and makes its calls to the volume fail.

libfaketime cannot step the clock: with DONT_FAKE_MONOTONIC=1 it still shifts the absolute monotonic times of
clock_nanosleep, so that Python's `time.sleep` fails with EINVAL or returns at once. A filesystem that answers EIO,
becomes read-only with open files, or hangs cannot be mounted without a kernel module. So a few lines of C do both if
there is `cc`.
"""

import shutil
import struct
import subprocess
from enum import IntEnum
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { WELL, WRITES_FAIL, READ_ONLY, HANGS };
static volatile int64_t *state;  /* [0]: seconds that the clock is ahead, [1]: how the volume is */
static char volume[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("LD_CHAOS_STATE"), *root = getenv("LD_CHAOS_VOLUME");
  int (*open_)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  if (root) snprintf(volume, sizeof volume, "%s/", root);
  int file = path ? open_(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *map = mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
  if (map != MAP_FAILED) state = map;
  close(file);
}

/* The error of a call on a path of the volume, 0 where it goes through. */
static int trouble(const char *path, int changes) {
  if (!state || state[1] == WELL || !path || !*volume || strncmp(path, volume, strlen(volume))) return 0;
  struct timespec moment = {0, 20000000};
  while (state[1] == HANGS) nanosleep(&moment, 0);
  if (!changes) return 0;
  return state[1] == WRITES_FAIL ? EIO : state[1] == READ_ONLY ? EROFS : 0;
}

static int trouble_of(int file) {
  char link[64], path[PATH_MAX];
  if (!state || state[1] == WELL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  int error = trouble(path, 1);
  return error == EROFS ? EIO : error;
}

#define FAIL_IF(error) do { int e_ = (error); if (e_) { errno = e_; return -1; } } while (0)
#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, name, const char *, int, ...); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    FAIL_IF(trouble(path, (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT)); \
    return real(path, flags, mode); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
  int name(int folder, const char *path, int flags, ...) { \
    REAL(int, name, int, const char *, int, ...); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    FAIL_IF(trouble(path, (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT)); \
    return real(folder, path, flags, mode); }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *content, size_t size) {
  REAL(ssize_t, write, int, const void *, size_t);
  FAIL_IF(trouble_of(file));
  return real(file, content, size);
}
int fsync(int file) { REAL(int, fsync, int); FAIL_IF(trouble_of(file)); return real(file); }
int fdatasync(int file) { REAL(int, fdatasync, int); FAIL_IF(trouble_of(file)); return real(file); }
int link(const char *a, const char *b) {
  REAL(int, link, const char *, const char *); FAIL_IF(trouble(b, 1)); return real(a, b);
}
int linkat(int c, const char *a, int d, const char *b, int flags) {
  REAL(int, linkat, int, const char *, int, const char *, int);
  FAIL_IF(trouble(b, 1)); return real(c, a, d, b, flags);
}
int rename(const char *a, const char *b) {
  REAL(int, rename, const char *, const char *); FAIL_IF(trouble(b, 1)); return real(a, b);
}
int renameat(int c, const char *a, int d, const char *b) {
  REAL(int, renameat, int, const char *, int, const char *); FAIL_IF(trouble(b, 1)); return real(c, a, d, b);
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, mkdir, const char *, mode_t); FAIL_IF(trouble(path, 1)); return real(path, mode);
}
int unlink(const char *path) { REAL(int, unlink, const char *); FAIL_IF(trouble(path, 1)); return real(path); }
DIR *opendir(const char *path) {
  static DIR *(*real)(const char *); if (!real) real = dlsym(RTLD_NEXT, "opendir");
  trouble(path, 0); return real(path);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(int, clock_gettime, clockid_t, struct timespec *);
  int answer = real(clock, now);
  if (answer == 0 && state && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += state[0];
  return answer;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  int answer = clock_gettime(CLOCK_REALTIME, &exact);
  (void)zone;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return answer;
}
time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
"""


class VolumeState(IntEnum):
    """How the volume behaves for one process. HANGS: each call waits until the state changes."""

    WELL = 0
    WRITES_FAIL = 1
    READ_ONLY = 2
    HANGS = 3


def build_library(folder: Path) -> Path | None:
    """Compile the library to preload; None without a C compiler, or if it fails."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "preload.c", folder / "preload.so"
    source.write_text(_SOURCE)
    done = subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", library, "-ldl"], check=False)
    return library if done.returncode == 0 else None


class Preload:
    """The wall clock and the volume as one service and its children see them: correct until they are changed."""

    def __init__(self, library: Path, file: Path, volume: Path) -> None:
        self._file = file
        file.write_bytes(bytes(16))
        self.environment = {"LD_PRELOAD": str(library), "LD_CHAOS_STATE": str(file), "LD_CHAOS_VOLUME": str(volume)}

    def step_clock(self, seconds: int) -> None:
        """Set the wall clock `seconds` ahead of the true time. Running processes see it at once."""
        self._put(0, seconds)

    def set_volume(self, state: VolumeState) -> None:
        """Make calls to the volume fail or hang, or work again."""
        self._put(8, state)

    def _put(self, offset: int, value: int) -> None:
        with self._file.open("r+b") as file:
            file.seek(offset)
            file.write(struct.pack("<q", value))
