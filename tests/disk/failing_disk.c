/*
 * Preloaded into one process, a disk that fails at a chosen call:
 *
 *   FAILING_SYNC=n    the n-th fsync or fdatasync answers EIO
 *   FAILING_CUT=1     from then on ftruncate does too: what was written and not synced stays in the file
 *   FAILING_WRITE=n   the n-th write to a file writes half; from then on each answers ENOSPC
 *   FAILING_COUNT=path gets, at the end, the number of such calls, and the file of the first that failed
 *
 * The process's own children have a good disk.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long failing_sync, failing_write, failing_cut;
static atomic_long syncs, writes;
static char failed[4096]; /* the file of the first call that failed */

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

__attribute__((constructor)) static void begin(void) {
    failing_sync = number("FAILING_SYNC");
    failing_write = number("FAILING_WRITE");
    failing_cut = number("FAILING_CUT");
    unsetenv("LD_PRELOAD");
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAILING_COUNT");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
    dprintf(fd, "%ld %s", failing_sync ? syncs : writes, failed);
}

static void name(int fd, char *into, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, into, size - 1);
    into[length < 0 ? 0 : length] = 0;
}

static void fails(int fd) {
    if (!failed[0])
        name(fd, failed, sizeof failed);
}

/* A folder is synced for the file in it that was synced last. */
static int synced(long call, int fd) {
    static __thread char last[2048], folder[2000];
    struct stat about;
    if (fstat(fd, &about) == 0 && !S_ISDIR(about.st_mode))
        name(fd, last, sizeof last);
    if (++syncs == failing_sync) {
        name(fd, folder, sizeof folder);
        snprintf(failed, sizeof failed, "%s after %s", folder, last);
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

int ftruncate64(int fd, off64_t length) {
    if (failing_cut && syncs >= failing_sync) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

ssize_t write(int fd, const void *bytes, size_t count) {
    struct stat about;
    if (failing_write && fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        long nth = ++writes;
        if (nth >= failing_write)
            fails(fd);
        if (nth > failing_write || (nth == failing_write && count < 2)) {
            errno = ENOSPC;
            return -1;
        }
        if (nth == failing_write)
            count /= 2;
    }
    return syscall(SYS_write, fd, bytes, count);
}
