#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system/topology.h"

/* Where the hierarchies are when /proc/self/mountinfo cannot be read. Version 1 names its
 * controllers, version 2 none. */
static const struct {
    const char *controller;
    const char *point;
} USUAL_MOUNTS[] = {
    {"", "/sys/fs/cgroup"},
    {"", "/sys/fs/cgroup/unified"},
    {"cpu", "/sys/fs/cgroup/cpu"},
    {"cpu", "/sys/fs/cgroup/cpu,cpuacct"},
    {"memory", "/sys/fs/cgroup/memory"},
};

/* Lines of mountinfo have two paths and the options of a file system. */
enum { PATH_SIZE = 4096, LINE_SIZE = 4 * PATH_SIZE };

/* ---- Files, without allocations: no memory must not look like no limit ---- */

typedef struct line_reader {
    int fd;
    size_t next, end;
    char buffer[LINE_SIZE];
} line_reader;

static bool reader_open(line_reader *reader, const char *root, const char *path) {
    char full[2 * PATH_SIZE];
    snprintf(full, sizeof full, "%s%s", root, path);
    *reader = (line_reader){.fd = open(full, O_RDONLY | O_CLOEXEC)};
    return reader->fd >= 0;
}

/* The next line without its newline, valid until the next call; NULL: no more. What is longer than
 * the buffer comes in parts, none of which is a line that anything here reads. */
static char *reader_line(line_reader *reader) {
    for (;;) {
        char *line = reader->buffer + reader->next;
        char *newline = memchr(line, '\n', reader->end - reader->next);
        const bool full = reader->next == 0 && reader->end == LINE_SIZE - 1;
        if (newline != NULL || full) {
            *(newline != NULL ? newline : reader->buffer + reader->end) = '\0';
            reader->next = newline != NULL ? (size_t)(newline + 1 - reader->buffer) : reader->end;
            return line;
        }
        memmove(reader->buffer, line, reader->end - reader->next);
        reader->end -= reader->next;
        reader->next = 0;
        const ssize_t got =
            read(reader->fd, reader->buffer + reader->end, LINE_SIZE - 1 - reader->end);
        if (got <= 0) {
            reader->buffer[reader->end] = '\0';
            line = reader->end > 0 ? reader->buffer : NULL;
            reader->end = 0;
            return line;
        }
        reader->end += (size_t)got;
    }
}

/* The first line of a small file of the system; false if there is none. */
static bool read_cgroup_line(const char *folder, const char *name, char *line, size_t size) {
    char path[2 * PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, line, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (got <= 0) {
        return false;
    }
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* ---- The limit of one group's folder; 0: none ---- */

static double ratio(long long quota, long long period) {
    return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

static double group_quota(const char *folder) {
    char line[128];
    if (read_cgroup_line(folder, "cpu.max", line,
                         sizeof line)) { /* version 2: "max 100000" or two numbers */
        char *rest = NULL;
        const long long quota = strtoll(line, &rest, 10);
        return rest == line ? 0 : ratio(quota, strtoll(rest, NULL, 10));
    }
    if (!read_cgroup_line(folder, "cpu.cfs_quota_us", line, sizeof line)) {
        return 0;
    }
    const long long quota = strtoll(line, NULL, 10);
    if (!read_cgroup_line(folder, "cpu.cfs_period_us", line, sizeof line)) {
        return 0;
    }
    return ratio(quota, strtoll(line, NULL, 10));
}

static double group_memory(const char *folder) {
    /* Version 1 has no word for "none", but the largest number of whole pages. */
    const double none = 0x1p62;
    char line[128], *rest = NULL;
    if (!read_cgroup_line(folder, "memory.max", line, sizeof line) &&
        !read_cgroup_line(folder, "memory.limit_in_bytes", line, sizeof line)) {
        return 0;
    }
    const double bytes = strtod(line, &rest);
    return rest != line && bytes > 0 && bytes < none ? bytes : 0;
}

/* ---- From a group up to the mount ---- */

typedef double group_limit(const char *folder);

static double smaller_limit(double a, double b) {
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* The smallest limit from the group `path` up to the mount; folders that are missing have none. */
static double path_limit(const char *mount, const char *path, group_limit *limit) {
    char folder[2 * PATH_SIZE];
    const size_t base = strlen(mount);
    if ((size_t)snprintf(folder, sizeof folder, "%s%s", mount, path) >= sizeof folder) {
        return 0;
    }
    double least = 0;
    for (;;) {
        least = smaller_limit(least, limit(folder));
        char *slash = strrchr(folder + base, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

static bool is_group(const char *mount, const char *path) {
    char folder[2 * PATH_SIZE];
    struct stat status;
    snprintf(folder, sizeof folder, "%s%s", mount, path);
    return stat(folder, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Where the group `path` is below a mount whose top is the group `top` (NULL: not known). In a
 * container the path may be the host's: then it begins with groups that the mount does not show,
 * and the longest end of it that is there is this group. */
static const char *path_below_mount(const char *mount, const char *top, const char *path) {
    const size_t length = top == NULL || strcmp(top, "/") == 0 ? 0 : strlen(top);
    if (length > 0 && strncmp(path, top, length) == 0 &&
        (path[length] == '/' || path[length] == '\0')) {
        return path + length;
    }
    if (strstr(path, "/..") != NULL) { /* a group outside this control-group namespace */
        return "";
    }
    for (const char *end = path; end != NULL && end[0] != '\0'; end = strchr(end + 1, '/')) {
        if (is_group(mount, end)) {
            return end;
        }
    }
    return path;
}

static double mount_limit(const char *root, const char *point, const char *top, const char *path,
                          group_limit *limit) {
    char mount[2 * PATH_SIZE];
    snprintf(mount, sizeof mount, "%s%s", root, point);
    return path_limit(mount, path_below_mount(mount, top, path), limit);
}

/* ---- Mounts ---- */

/* Whether `list` ("rw,cpu,cpuacct") has `wanted`. */
static bool has_word(const char *list, const char *wanted) {
    const size_t length = strlen(wanted);
    for (const char *next = list; next != NULL; next = strchr(next, ',')) {
        next += *next == ',' ? 1 : 0;
        if (strncmp(next, wanted, length) == 0 && (next[length] == ',' || next[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* mountinfo writes a space as \040. In place. */
static void unescape_octal(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; ++to) {
        if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

typedef struct cgroup_mount {
    const char *type, *options; /* of the file system */
    char *top, *point;          /* the group that is mounted, and where */
} cgroup_mount;

/* "ID PARENT DEVICE TOP POINT OPTIONS [FIELD]... - TYPE SOURCE OPTIONS", proc_pid_mountinfo(5). */
static bool parse_mount(char *line, cgroup_mount *mount) {
    enum { TOP = 3, POINT = 4, FIELDS = 6, TYPE = 1, OPTIONS = 3, AFTER = 4 };
    char *fields[FIELDS] = {NULL}, *after[AFTER] = {NULL}, *rest = NULL;
    int count = 0, dash = -1;
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        dash = dash < 0 && count >= FIELDS && strcmp(word, "-") == 0 ? count : dash;
        if (count < FIELDS) {
            fields[count] = word;
        } else if (dash >= 0 && count - dash < AFTER) {
            after[count - dash] = word;
        }
        ++count;
    }
    if (after[OPTIONS] == NULL) {
        return false;
    }
    *mount = (cgroup_mount){after[TYPE], after[OPTIONS], fields[TOP], fields[POINT]};
    unescape_octal(mount->top);
    unescape_octal(mount->point);
    return true;
}

/* Of one hierarchy, `controller` ("": version 2), in which this process is in the group `path`. */
static double hierarchy_limit(const char *root, const char *controller, const char *path,
                              group_limit *limit) {
    double least = 0;
    line_reader reader;
    if (reader_open(&reader, root, "/proc/self/mountinfo")) {
        for (char *line; (line = reader_line(&reader)) != NULL;) {
            cgroup_mount mount;
            const bool known = parse_mount(line, &mount);
            if (known && (controller[0] == '\0' ? strcmp(mount.type, "cgroup2") == 0
                                                : strcmp(mount.type, "cgroup") == 0 &&
                                                      has_word(mount.options, controller))) {
                least =
                    smaller_limit(least, mount_limit(root, mount.point, mount.top, path, limit));
            }
        }
        close(reader.fd);
        return least;
    }
    for (size_t i = 0; i < sizeof USUAL_MOUNTS / sizeof *USUAL_MOUNTS; ++i) {
        if (strcmp(USUAL_MOUNTS[i].controller, controller) == 0) {
            least =
                smaller_limit(least, mount_limit(root, USUAL_MOUNTS[i].point, NULL, path, limit));
        }
    }
    return least;
}

static double cgroup_limit(const char *root, const char *controller, group_limit *limit) {
    line_reader reader;
    if (!reader_open(&reader, root, "/proc/self/cgroup")) {
        return 0;
    }
    double least = 0;
    for (char *line; (line = reader_line(&reader)) != NULL;) { /* "NUMBER:CONTROLLERS:PATH" */
        char *controllers = strchr(line, ':');
        char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (path == NULL) {
            continue;
        }
        *path++ = '\0';
        ++controllers;
        if (controllers[0] == '\0' || has_word(controllers, controller)) {
            const char *hierarchy = controllers[0] == '\0' ? "" : controller;
            least = smaller_limit(least, hierarchy_limit(root, hierarchy, path, limit));
        }
    }
    close(reader.fd);
    return least;
}

double cm_cgroup_cpu_quota(const char *root) {
    return cgroup_limit(root, "cpu", group_quota);
}

double cm_cgroup_memory_limit(const char *root) {
    return cgroup_limit(root, "memory", group_memory);
}
