/* LD_PRELOAD library for tests/cli/test_faults.py: makes the N-th call of one kind fail, or kills
 * the process there. $CONVMARK_FAULT is KIND:N, with a '+' after N for that call and all after it,
 * and
 * ":kill" at the end for SIGKILL in place of an error. $CONVMARK_FAULT_FIRED is a file that is
 * created when it happens; $CONVMARK_FAULT_COUNT is a file that gets the number of calls of that
 * kind at the end. Calls on files are those on files opened for writing, beyond the
 * standard streams; allocations are those of the program itself and of Jansson. (popt and the
 * OpenMP runtime end the process where they get no memory, and hwloc 2.9 reads through a null
 * pointer: the program is not asked.)
 *
 * Without $CONVMARK_FAULT it does one thing only, as always: of a piece of data of more than a MiB,
 * which is the pictures of the data set and nothing else, SHA-256 sees the beginning. A run takes a
 * third of the time then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAULT_EXPORT __attribute__((visibility("default")))

/* The C library's own names for its allocators. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static char kind[16];
static long chosen; /* 0: none */
static bool forever, kills;
static atomic_long calls;

enum { MAX_RANGES = 8 };
static struct range { uintptr_t begin, end; } ranges[MAX_RANGES];
static int range_count;

static int note_library(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    const bool program = *(const int *)context == range_count; /* it is the first one */
    if ((!program && strstr(info->dlpi_name, "libjansson") == NULL) || range_count == MAX_RANGES) {
        return 0;
    }
    struct range range = {UINTPTR_MAX, 0};
    for (int k = 0; k < info->dlpi_phnum; ++k) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[k];
        const uintptr_t begin = info->dlpi_addr + header->p_vaddr;
        const uintptr_t end = begin + header->p_memsz;
        if (header->p_type == PT_LOAD) {
            range.begin = begin < range.begin ? begin : range.begin;
            range.end = end > range.end ? end : range.end;
        }
    }
    ranges[range_count++] = range;
    return 0;
}

__attribute__((constructor)) static void start(void) {
    const char *fault = getenv("CONVMARK_FAULT");
    char mode[8] = "";
    if (fault == NULL) {
        return;
    }
    const int first = 0;
    dl_iterate_phdr(note_library, (void *)(uintptr_t)&first);
    if (sscanf(fault, "%15[a-z]:%ld%7s", kind, &chosen, mode) < 2) {
        abort();
    }
    forever = mode[0] == '+';
    kills = strstr(mode, "kill") != NULL;
}

/* Whether this call is to fail; does not return where it is to be the last. */
static bool fails(const char *call) {
    if (chosen == 0 || strcmp(call, kind) != 0) {
        return false;
    }
    const long number = atomic_fetch_add(&calls, 1) + 1;
    if (number != chosen && !(forever && number > chosen)) {
        return false;
    }
    const char *fired = getenv("CONVMARK_FAULT_FIRED");
    if (fired != NULL) {
        const long fd = syscall(SYS_openat, AT_FDCWD, fired, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) {
            syscall(SYS_close, fd);
        }
    }
    if (kills) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    }
    return true;
}

__attribute__((destructor)) static void write_count(void) {
    const char *path = getenv("CONVMARK_FAULT_COUNT");
    char text[32];
    if (path == NULL || chosen == 0) {
        return;
    }
    const long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const int length = snprintf(text, sizeof text, "%ld\n", atomic_load(&calls));
    if (fd >= 0) {
        (void)!syscall(SYS_write, fd, text, (size_t)length);
        syscall(SYS_close, fd);
    }
}

enum { HASHED = 1 << 20 };

/* libmd's, which the program calls for its files as well: those are smaller. */
FAULT_EXPORT void SHA256Update(void *context, const uint8_t *data, size_t size) {
    void (*next)(void *, const uint8_t *, size_t);
    *(void **)&next = dlsym(RTLD_NEXT, "SHA256Update");
    next(context, data, size < HASHED ? size : HASHED);
}

static bool is_output(int fd) {
    const int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFL) : -1;
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

FAULT_EXPORT ssize_t write(int fd, const void *data, size_t size) {
    if (is_output(fd) && fails("write")) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, data, size);
}

FAULT_EXPORT int fsync(int fd) {
    if (fails("fsync")) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

FAULT_EXPORT int rename(const char *from, const char *to) {
    if (fails("rename")) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Linux closes the descriptor even where it reports an error. */
FAULT_EXPORT int close(int fd) {
    const bool failed = is_output(fd) && fails("close");
    const int result = (int)syscall(SYS_close, fd);
    if (failed) {
        errno = EIO;
        return -1;
    }
    return result;
}

FAULT_EXPORT int unlink(const char *path) {
    if (fails("unlink")) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* As on a file system without locks. */
FAULT_EXPORT int flock(int fd, int operation) {
    if (fails("flock")) {
        errno = ENOLCK;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, operation);
}

static bool allocation_fails(const void *caller) {
    if (chosen == 0 || strcmp(kind, "alloc") != 0) {
        return false;
    }
    for (int i = 0; i < range_count; ++i) {
        if ((uintptr_t)caller >= ranges[i].begin && (uintptr_t)caller < ranges[i].end &&
            fails("alloc")) {
            errno = ENOMEM;
            return true;
        }
    }
    return false;
}

#define CALLER __builtin_return_address(0)

FAULT_EXPORT void *malloc(size_t size) {
    return allocation_fails(CALLER) ? NULL : __libc_malloc(size);
}

FAULT_EXPORT void *calloc(size_t count, size_t size) {
    return allocation_fails(CALLER) ? NULL : __libc_calloc(count, size);
}

FAULT_EXPORT void *realloc(void *old, size_t size) {
    return allocation_fails(CALLER) ? NULL : __libc_realloc(old, size);
}

FAULT_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return allocation_fails(CALLER) ? NULL : __libc_memalign(alignment, size);
}

FAULT_EXPORT int posix_memalign(void **result, size_t alignment, size_t size) {
    if (allocation_fails(CALLER)) {
        return ENOMEM;
    }
    *result = __libc_memalign(alignment, size);
    return *result == NULL ? ENOMEM : 0;
}

FAULT_EXPORT char *strdup(const char *text) {
    const size_t size = strlen(text) + 1;
    char *copy = allocation_fails(CALLER) ? NULL : __libc_malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}
