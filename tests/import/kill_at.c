/*
 * Preloaded into rotakey: what it does to files is counted, and it is killed at a chosen act.
 *
 *   KILL_AT=n      SIGKILL instead of the n-th act
 *   KILL_HALF=1    half of it is done first, if it is a write
 *   ACTS=path      gets a line for each act
 *   MEDDLE=path    the file that somebody else appends a line to, each time just before a new version of it is renamed
 *   MEDDLE_TIMES=n so many times
 *
 * Acts are those that change a regular file or a folder. The process's own children are left alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long kill_at, half, meddles;
static int log_fd = -1;
static char meddle[4096];
static atomic_long acts;

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

__attribute__((constructor)) static void begin(void) {
    kill_at = number("KILL_AT");
    half = number("KILL_HALF");
    meddles = number("MEDDLE_TIMES");
    const char *path = getenv("ACTS");
    if (path)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    path = getenv("MEDDLE");
    if (path)
        strncpy(meddle, path, sizeof meddle - 1);
    unsetenv("LD_PRELOAD");
}

static void die(void) { syscall(SYS_kill, getpid(), SIGKILL); }

/* Whether this act is the last one. */
static int act(const char *what, const char *path, const char *other) {
    long nth = ++acts;
    if (log_fd >= 0)
        dprintf(log_fd, "%s %s %s\n", what, path, other ? other : "");
    return nth == kill_at;
}

static const char *path_of(int fd, char *buffer, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, size - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

/* The path of a regular file or a folder that is open, or nothing. */
static const char *kept(int fd, char *buffer, size_t size) {
    struct stat about;
    if (fstat(fd, &about) || !(S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)))
        return NULL;
    path_of(fd, buffer, size);
    return buffer[0] == '/' && strncmp(buffer, "/memfd", 6) ? buffer : NULL;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if ((flags & O_CREAT) && act("create", path, NULL))
        die();
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    char buffer[4096];
    const char *path = kept(fd, buffer, sizeof buffer);
    if (path && act("write", path, NULL)) {
        if (half)
            syscall(SYS_write, fd, bytes, count / 2);
        die();
    }
    return syscall(SYS_write, fd, bytes, count);
}

static int one(long call, const char *what, int fd) {
    char buffer[4096];
    const char *path = kept(fd, buffer, sizeof buffer);
    if (path && act(what, path, NULL))
        die();
    return (int)syscall(call, fd);
}

int fsync(int fd) { return one(SYS_fsync, "sync", fd); }
int fdatasync(int fd) { return one(SYS_fdatasync, "sync", fd); }

static void somebody_else_writes(const char *to) {
    if (meddles <= 0 || strcmp(to, meddle))
        return;
    meddles--;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, meddle, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    dprintf(fd, "# somebody else, %ld\n", meddles);
    close(fd);
}

/* The new version is complete, and its mode is set just before it is synced and renamed. */
int fchmod(int fd, mode_t mode) {
    char buffer[4096], *slash;
    const char *path = kept(fd, buffer, sizeof buffer);
    if (path && act("mode", path, NULL))
        die();
    if (path && meddle[0] && strstr(path, ".rotakey-new") && (slash = strrchr(meddle, '/')) &&
        strstr(path, slash + 1))
        somebody_else_writes(meddle);
    return (int)syscall(SYS_fchmod, fd, mode);
}

int rename(const char *from, const char *to) {
    if (act("rename", from, to))
        die();
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    if (act("unlink", path, NULL))
        die();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode) {
    if (act("folder", path, NULL))
        die();
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int ftruncate64(int fd, off64_t length) {
    char buffer[4096];
    const char *path = kept(fd, buffer, sizeof buffer);
    if (path && act("cut", path, NULL))
        die();
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
