/* Files are written whole or not at all, and read whole and within limits. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/files/atomic_file.h"
#include "core/files/lock_file.h"

static char folder[] = "/tmp/convmark-test-XXXXXX";
static char path[64], other[64];

/* A fresh folder for each test; it is the working folder, so that plain names are tested too. */
static int set_up(void **state) {
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    if (mkdtemp(folder) == NULL || chdir(folder) != 0) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf -- '%s'", folder);
    return chdir("/") == 0 ? system(command) : -1;
}

/* Entries of the test's folder. */
static int entries(void) {
    int count = 0;
    DIR *open_folder = opendir(folder);
    assert_non_null(open_folder);
    for (const struct dirent *entry; (entry = readdir(open_folder)) != NULL;) {
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2 ? 1 : 0;
    }
    closedir(open_folder);
    return count;
}

static void put(const char *file, const char *text) {
    FILE *to = fopen(file, "w");
    assert_non_null(to);
    assert_true(fputs(text, to) >= 0);
    assert_int_equal(fclose(to), 0);
}

static void assert_content(const char *file, const char *text) {
    char *data = NULL;
    size_t size = 0;
    cm_error error = {{0}};
    assert_int_equal(cm_file_read(file, 1000, &data, &size, &error), CM_OK);
    assert_int_equal(size, strlen(text));
    assert_string_equal(data, text);
    free(data);
}

static void assert_mentions(const cm_error *error, const char *text) {
    if (strstr(error->message, text) == NULL) {
        fail_msg("\"%s\" does not mention \"%s\"", error->message, text);
    }
}

/* Writing to `to` and the early check are refused alike, and nothing changes. */
static void assert_refused(const char *to, const char *mentions) {
    const int before = entries();
    cm_error error = {{0}};
    assert_int_equal(cm_file_write(to, "x", 1, &error), CM_FAILED);
    assert_mentions(&error, mentions);
    assert_mentions(&error, to);
    error.message[0] = '\0';
    assert_int_equal(cm_path_check_writable(to, true, &error), CM_USAGE);
    assert_mentions(&error, mentions);
    assert_int_equal(entries(), before);
}

static void test_writes_and_replaces(void **state) {
    (void)state;
    cm_error error = {{0}};
    assert_int_equal(cm_file_write(path, "first", 5, &error), CM_OK);
    assert_content(path, "first");
    assert_int_equal(cm_file_write(path, "2", 1, &error), CM_OK);
    assert_content(path, "2");
    assert_int_equal(cm_file_write(path, "", 0, &error), CM_OK);
    assert_content(path, "");
    assert_int_equal(cm_file_write("plain", "name", 4, &error), CM_OK);
    assert_content("plain", "name");
    assert_int_equal(entries(), 2);
}

static void test_permissions(void **state) {
    (void)state;
    cm_error error = {{0}};
    struct stat info;
    umask(022);
    assert_int_equal(cm_file_write(path, "new", 3, &error), CM_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(cm_file_write(path, "kept", 4, &error), CM_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void test_follows_links(void **state) {
    (void)state;
    cm_error error = {{0}};
    struct stat info;
    put(path, "old");
    assert_int_equal(symlink("file", other), 0);
    assert_int_equal(cm_file_write(other, "new", 3, &error), CM_OK);
    assert_content(path, "new");
    assert_int_equal(lstat(other, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_refused("dangling", "link");
}

static void test_refuses(void **state) {
    (void)state;
    char deep[128], fifo[64], below_file[80];
    cm_error error = {{0}};
    assert_refused(folder, "is a folder");
    assert_refused("/dev/full", "regular file");
    snprintf(deep, sizeof deep, "%s/missing/file", folder);
    assert_refused(deep, "no such");
    snprintf(deep, sizeof deep, "%s/", path);
    assert_refused(deep, "folder");
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_refused(fifo, "regular file");
    put(path, "x");
    snprintf(below_file, sizeof below_file, "%s/below", path);
    assert_refused(below_file, "not a folder");
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_refused(name, "too long");
    assert_int_equal(cm_file_write("", "x", 1, &error), CM_USAGE);
    assert_int_equal(cm_path_check_writable("", false, &error), CM_USAGE);
}

/* As another user than root, for whom permissions mean something. */
static void test_permission_denied(void **state) {
    (void)state;
    put(path, "old");
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(mkdir("closed", 0555), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(77);
        }
        cm_error error = {{0}};
        const cm_status readonly = cm_path_check_writable(path, false, &error);
        const cm_status closed = cm_path_check_writable("closed/file", false, &error);
        _exit(readonly == CM_USAGE && closed == CM_USAGE &&
                      strstr(error.message, "permission denied") != NULL
                  ? 0
                  : 1);
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    if (WEXITSTATUS(result) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(result), 0);
    assert_content(path, "old");
}

static void test_check_leaves_nothing(void **state) {
    (void)state;
    cm_error error = {{0}};
    assert_int_equal(cm_path_check_writable(path, false, &error), CM_OK);
    assert_int_equal(entries(), 0);
    put(path, "old");
    assert_int_equal(cm_path_check_writable(path, false, &error), CM_OK);
    assert_content(path, "old");
    assert_int_equal(entries(), 1);
    assert_int_equal(cm_path_check_writable("-", true, &error), CM_OK);
    assert_int_equal(cm_path_check_writable("-", false, &error), CM_USAGE);
    assert_mentions(&error, "standard output");
    assert_int_equal(entries(), 1);
}

static bool is_same(const char *a, const char *b) {
    bool same = false;
    assert_int_equal(cm_path_compare(a, b, &same, NULL), CM_OK);
    return same;
}

static void test_two_spellings_of_one_path(void **state) {
    (void)state;
    put("there", "x");
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(symlink("sub", "way"), 0);
    assert_int_equal(symlink("there", "link"), 0);
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {{"new", "new", true},
                {"new", "./new", true},
                {"new", "sub/../new", true},
                {"sub/new", "way/new", true},
                {"link", "there", true},
                {"new", "other", false},
                {"new", "sub/new", false},
                {"no/folder", "./no/folder", false},
                {"-", "-", true},
                {"-", "./-", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        assert_int_equal(is_same(rows[i].a, rows[i].b), rows[i].same);
        assert_int_equal(is_same(rows[i].b, rows[i].a), rows[i].same);
    }
    assert_true(is_same(path, "file"));
    assert_true(is_same("/new", "//new"));
    put("file", "");
    assert_int_equal(link("file", "hard"), 0);
    assert_true(is_same("hard", path));
}

/* A disk that is full in the middle of the file, played by the limit on file sizes. */
static void test_failed_write_keeps_the_old_file(void **state) {
    (void)state;
    put(path, "old");
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    char *data = calloc(10000, 1);
    cm_error error = {{0}};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const cm_status status = cm_file_write(path, data, 10000, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    free(data);
    assert_int_equal(status, CM_FAILED);
    assert_mentions(&error, "larger than allowed");
    assert_content(path, "old");
    assert_int_equal(entries(), 1);
}

/* A temporary of the same name that a killed process left behind is not touched. */
static void test_other_temporary(void **state) {
    (void)state;
    char left[64];
    snprintf(left, sizeof left, ".convmark-%ld-0.tmp", (long)getpid());
    put(left, "left");
    cm_error error = {{0}};
    assert_int_equal(cm_file_write(path, "new", 3, &error), CM_OK);
    assert_content(path, "new");
    assert_content(left, "left");
    assert_int_equal(entries(), 2);
}

static void test_keeps_the_file_before(void **state) {
    (void)state;
    cm_error error = {{0}};
    assert_int_equal(cm_file_write_keeping(path, other, "1", 1, &error), CM_OK);
    assert_content(path, "1");
    assert_int_equal(entries(), 1);
    assert_int_equal(cm_file_write_keeping(path, other, "2", 1, &error), CM_OK);
    assert_int_equal(cm_file_write_keeping(path, other, "3", 1, &error), CM_OK);
    assert_content(path, "3");
    assert_content(other, "2");
    assert_int_equal(entries(), 2);
    /* Where it cannot be kept, nothing changes. */
    assert_int_equal(cm_file_write_keeping(path, folder, "4", 1, &error), CM_FAILED);
    assert_content(path, "3");
    assert_int_equal(entries(), 2);
}

/* What killed processes leave goes; what a living one has locked, and what has another name, a
 * folder or a link, stays. */
static void test_leftovers_of_killed_runs(void **state) {
    (void)state;
    static const char *const stay[] = {".convmark-7-0.tmp.x", ".convmark-07-0.tmp",
                                       ".convmark-7.tmp", "convmark-7-0.tmp", ".convmark-7-0.tmpx"};
    enum { STAY = sizeof stay / sizeof stay[0] };
    cm_error error = {{0}};
    for (int i = 0; i < STAY; ++i) {
        put(stay[i], "other");
    }
    put(".convmark-7-0.tmp", "left");
    put(".convmark-2147483647-12.tmp", "left");
    put(".convmark-8-0.tmp", "locked");
    assert_int_equal(mkdir(".convmark-9-0.tmp", 0700), 0);
    assert_int_equal(symlink(stay[0], ".convmark-9-1.tmp"), 0);
    const int fd = open(".convmark-8-0.tmp", O_RDONLY);
    assert_true(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
    assert_int_equal(cm_path_check_writable("new", false, &error), CM_OK);
    assert_int_equal(entries(), STAY + 3);
    close(fd);
    assert_int_equal(cm_path_check_writable(path, false, &error), CM_OK);
    assert_int_equal(entries(), STAY + 2);
    assert_int_not_equal(access(".convmark-8-0.tmp", F_OK), 0);
}

static void test_lock_file(void **state) {
    (void)state;
    cm_error error = {{0}};
    cm_lock_file first, second;
    assert_int_equal(cm_lock_file_take(other, path, &first, &error), CM_OK);
    assert_int_equal(cm_lock_file_take(other, path, &second, &error), CM_FAILED);
    assert_mentions(&error, path);
    assert_mentions(&error, "in use by another run");
    if (access("/proc/locks", R_OK) == 0) { /* who holds it */
        char process[40];
        snprintf(process, sizeof process, "run (process %ld)", (long)getpid());
        assert_mentions(&error, process);
    }
    cm_lock_file_release(&second);
    assert_int_equal(entries(), 1);
    cm_lock_file_release(&first);
    cm_lock_file_release(&first);
    assert_int_equal(entries(), 0);
    put(other, ""); /* of a killed run */
    assert_int_equal(cm_lock_file_take(other, path, &first, &error), CM_OK);
    cm_lock_file_release(&first);
    assert_int_equal(entries(), 0);
    assert_int_equal(cm_lock_file_take(folder, path, &first, &error), CM_FAILED);
    assert_int_equal(cm_lock_file_take("missing/lock", path, &first, &error), CM_FAILED);
    assert_mentions(&error, "missing/lock");
}

/* What a user has under the name of a lock stays, and is said to be none of ours. */
static void test_locks_that_are_none(void **state) {
    (void)state;
    cm_error error = {{0}};
    cm_lock_file lock;
    struct stat before, after;
    put("target", "");
    for (int kind = 0; kind < 5; ++kind) {
        if (kind == 0) {
            put(other, "text of the user");
        } else {
            assert_int_equal(kind == 1   ? mkfifo(other, 0666)
                             : kind == 2 ? symlink("target", other)
                             : kind == 3 ? symlink("missing", other)
                                         : link("target", other),
                             0);
        }
        assert_int_equal(lstat(other, &before), 0);
        assert_int_equal(cm_lock_file_take(other, path, &lock, &error), CM_FAILED);
        assert_mentions(&error, "cannot lock: it is not an empty file of this user");
        cm_lock_file_release(&lock);
        assert_int_equal(lstat(other, &after), 0);
        assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);
        assert_int_not_equal(access("missing", F_OK), 0);
        assert_int_equal(unlink(other), 0);
    }
}

/* A file that took the lock's place while it was held is somebody else's. */
static void test_lock_that_was_replaced(void **state) {
    (void)state;
    cm_error error = {{0}};
    cm_lock_file lock;
    assert_int_equal(cm_lock_file_take(other, path, &lock, &error), CM_OK);
    assert_int_equal(unlink(other), 0);
    put(other, "new");
    cm_lock_file_release(&lock);
    assert_content(other, "new");
}

/* A link that another user made leads nowhere; nor does one of anybody else's in a folder where
 * others write. */
static void test_links_of_others(void **state) {
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    cm_error error = {{0}};
    put(path, "old");
    assert_int_equal(mkdir("theirs", 0755), 0);
    assert_int_equal(symlink("../file", "theirs/link"), 0);
    assert_int_equal(symlink("theirs/link", "ours"), 0);
    assert_int_equal(lchown("theirs/link", 65534, 65534), 0);
    assert_refused("theirs/link", "a link that another user made");
    assert_refused("ours", "a link that another user made"); /* by a link of our own */
    assert_content(path, "old");
    assert_int_equal(lchown("theirs/link", 0, 0), 0);
    assert_int_equal(cm_file_write("theirs/link", "new", 3, &error), CM_OK);
    assert_content(path, "new");
}

/* A file that only its owner reads is replaced by one that nobody else could read at any moment. */
static void test_private_files_stay_private(void **state) {
    (void)state;
    cm_error error = {{0}};
    put(path, "old");
    assert_int_equal(chmod(path, 0600), 0);
    umask(0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* It ends as soon as a write begins: what it leaves shows the permissions until then. */
        const struct rlimit none = {0, 0};
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_CORE, &none);
        setrlimit(RLIMIT_FSIZE, &none);
        cm_file_write(path, "new", 3, &error);
        _exit(1);
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    DIR *opened = opendir(folder);
    int found = 0;
    for (const struct dirent *entry; (entry = readdir(opened)) != NULL;) {
        struct stat info;
        if (strstr(entry->d_name, ".tmp") != NULL) {
            assert_int_equal(stat(entry->d_name, &info), 0);
            assert_int_equal(info.st_mode & 0777, 0600);
            ++found;
        }
    }
    closedir(opened);
    assert_int_equal(found, 1);
    umask(022);
}

/* Writes to "-" with standard output replaced by `to`. */
static cm_status write_dash(const char *to, cm_error *error) {
    fflush(stdout);
    const int saved = dup(STDOUT_FILENO);
    const int fd = open(to, O_WRONLY | O_CREAT, 0600);
    assert_true(saved >= 0 && fd >= 0);
    dup2(fd, STDOUT_FILENO);
    const cm_status status = cm_file_write("-", "text", 4, error);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fd);
    return status;
}

static void test_standard_output(void **state) {
    (void)state;
    cm_error error = {{0}};
    assert_int_equal(write_dash(path, &error), CM_OK);
    assert_content(path, "text");
    assert_int_equal(write_dash("/dev/full", &error), CM_FAILED);
    assert_mentions(&error, "no space");
}

static void assert_unreadable(const char *file, size_t limit, const char *mentions) {
    cm_error error = {{0}};
    char *data = folder;
    size_t size = 0;
    assert_int_equal(cm_file_read(file, limit, &data, &size, &error), CM_BAD_INPUT);
    assert_null(data);
    assert_mentions(&error, mentions);
    assert_mentions(&error, file);
}

static void test_read(void **state) {
    (void)state;
    cm_error error = {{0}};
    assert_int_equal(cm_file_write(path, "a\0b", 3, &error), CM_OK);
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(cm_file_read(path, 3, &data, &size, &error), CM_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "a\0b", 4);
    free(data);
    assert_unreadable(path, 2, "at most 2");
    assert_unreadable(other, 2, "no such file");
    assert_unreadable(folder, 2, "folder");
    assert_unreadable("/dev/zero", 2, "device");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_unreadable("fifo", 2, "pipe"); /* does not wait for a writer */
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_unreadable("dangling", 2, "no such file");
}

static void test_read_start(void **state) {
    (void)state;
    cm_error error = {{0}};
    put(path, "0123456789");
    char *data = NULL;
    size_t size = 0;
    uint64_t file_size = 0;
    assert_int_equal(cm_file_read_start(path, 4, &data, &size, &file_size, &error), CM_OK);
    assert_int_equal(size, 4);
    assert_int_equal(file_size, 10);
    assert_string_equal(data, "0123");
    free(data);
    assert_int_equal(cm_file_read_start(path, 40, &data, &size, NULL, &error), CM_OK);
    assert_int_equal(size, 10);
    assert_string_equal(data, "0123456789");
    free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(writes_and_replaces),
        TEST(permissions),
        TEST(follows_links),
        TEST(refuses),
        TEST(permission_denied),
        TEST(check_leaves_nothing),
        TEST(other_temporary),
        TEST(failed_write_keeps_the_old_file),
        TEST(standard_output),
        TEST(read),
        TEST(read_start),
        TEST(keeps_the_file_before),
        TEST(lock_file),
        TEST(locks_that_are_none),
        TEST(lock_that_was_replaced),
        TEST(links_of_others),
        TEST(private_files_stay_private),
        TEST(leftovers_of_killed_runs),
        TEST(two_spellings_of_one_path),
    };
    return cmocka_run_group_tests_name("atomic_file", tests, NULL, NULL);
}
