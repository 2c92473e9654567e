/* What a process may use, how its threads are prepared, and how the machine is described. */
#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <hwloc.h>

#include "convmark/kernels.h"
#include "convmark/team.h"
#include "core/system/clock.h"
#include "core/system/threads.h"
#include "core/system/topology.h"
#include "harness/record/machine.h"
#include "support/put_file.h"

/* ---- control groups ---- */

typedef struct quota_case {
    double quota;
    const char *groups; /* /proc/self/cgroup */
    struct {
        const char *name, *text;
    } files[4]; /* below /sys/fs/cgroup */
} quota_case;

static const quota_case QUOTA_CASES[] = {
    {0, "0::/\n", {{0}}},
    {0, "0::/a\n", {{"a/cpu.max", "max 100000\n"}}},
    {1.5, "0::/a\n", {{"a/cpu.max", "150000 100000\n"}}},
    {0, "0::/a\n", {{"b/cpu.max", "150000 100000\n"}}},
    /* the smallest on the way up */
    {2, "0::/a/b\n", {{"a/b/cpu.max", "300000 100000\n"}, {"a/cpu.max", "200000 100000\n"}}},
    {3, "0::/a/b\n", {{"a/b/cpu.max", "300000 100000\n"}, {"a/cpu.max", "max 100000\n"}}},
    /* a container that shows the host's path and its own group as the top */
    {0.5, "0::/docker/123\n", {{"cpu.max", "50000 100000\n"}}},
    {0.5, "0::/../..\n", {{"cpu.max", "50000 100000\n"}, {"../cpu.max", "10000 100000\n"}}},
    /* version 1, alone and beside version 2 */
    {2.5,
     "3:cpu,cpuacct:/a\n0::/\n",
     {{"cpu/a/cpu.cfs_quota_us", "250000\n"}, {"cpu/a/cpu.cfs_period_us", "100000\n"}}},
    {2.5,
     "3:cpuacct,cpu:/a\n",
     {{"cpu,cpuacct/a/cpu.cfs_quota_us", "125000\n"},
      {"cpu,cpuacct/a/cpu.cfs_period_us", "50000\n"}}},
    {0, "3:cpu:/\n", {{"cpu/cpu.cfs_quota_us", "-1\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}}},
    {0,
     "3:cpuset:/\n",
     {{"cpu/cpu.cfs_quota_us", "50000\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}}},
    {0, "3:cpu:/\n", {{"cpu/cpu.cfs_quota_us", "50000\n"}}},
    {0, "0::/\n", {{"cpu.max", "nonsense\n"}}},
    {0, "0::/\n", {{"cpu.max", "100000 0\n"}}},
    {0, "nonsense\n\n:\n", {{"cpu.max", "100000 100000\n"}}},
};

static void test_cgroup_quota(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof QUOTA_CASES / sizeof *QUOTA_CASES; ++i) {
        const quota_case *row = &QUOTA_CASES[i];
        char root[] = "/tmp/convmark-cgroup-XXXXXX", name[128], command[64];
        assert_non_null(mkdtemp(root));
        put(root, "proc/self/cgroup", row->groups);
        for (size_t k = 0; k < 4 && row->files[k].name != NULL; ++k) {
            snprintf(name, sizeof name, "sys/fs/cgroup/%s", row->files[k].name);
            put(root, name, row->files[k].text);
        }
        const double quota = cm_cgroup_cpu_quota(root);
        snprintf(command, sizeof command, "rm -rf -- '%s'", root);
        assert_int_equal(system(command), 0);
        if (quota != row->quota) {
            fail_msg("case %zu: %g instead of %g", i, quota, row->quota);
        }
    }
    assert_true(cm_cgroup_cpu_quota("/nonexistent") == 0);
}

/* A tree of files: what is mounted where, and what that means for this process. */
typedef struct mount_case {
    const char *what;
    double quota, memory;
    const char *groups, *mounts; /* /proc/self/cgroup and /proc/self/mountinfo */
    struct {
        const char *name, *text;
    } files[5];
} mount_case;

#define MOUNT_V2(top, point) \
    "30 23 0:26 " top " " point " rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1(top, point, controllers) \
    "31 23 0:27 " top " " point " rw,nosuid shared:5 - cgroup cgroup rw," controllers "\n"
static const mount_case MOUNT_CASES[] = {
    {"the host's path in a container, the group below the mount",
     1,
     0,
     "0::/docker/123/init.scope\n",
     MOUNT_V2("/docker/123", "/sys/fs/cgroup"),
     {{"sys/fs/cgroup/cpu.max", "400000 100000\n"},
      {"sys/fs/cgroup/init.scope/cpu.max", "100000 100000\n"}}},
    {"the same, without mountinfo",
     1,
     0,
     "0::/docker/123/init.scope\n",
     NULL,
     {{"sys/fs/cgroup/cpu.max", "400000 100000\n"},
      {"sys/fs/cgroup/init.scope/cpu.max", "100000 100000\n"}}},
    {"version 2 mounted elsewhere, in a folder with a space",
     2,
     1073741824,
     "0::/a/b\n",
     "1 0 8:1 / / rw - ext4 /dev/sda rw\n" MOUNT_V2("/", "/mnt/my\\040groups"),
     {{"mnt/my groups/a/cpu.max", "200000 100000\n"},
      {"mnt/my groups/a/b/memory.max", "1073741824\n"},
      {"mnt/my groups/a/memory.max", "max\n"},
      {"sys/fs/cgroup/a/cpu.max", "100000 100000\n"}}},
    {"nested: the smallest on the way up",
     1.5,
     4096,
     "0::/a/b/c\n",
     MOUNT_V2("/", "/sys/fs/cgroup"),
     {{"sys/fs/cgroup/a/b/c/cpu.max", "300000 100000\n"},
      {"sys/fs/cgroup/a/cpu.max", "150000 100000\n"},
      {"sys/fs/cgroup/a/b/c/memory.max", "8192\n"},
      {"sys/fs/cgroup/a/memory.max", "4096\n"}}},
    {"version 1: controllers in their own places",
     0.5,
     2097152,
     "5:cpuacct,cpu:/docker/9\n4:memory:/docker/9\n1:name=systemd:/x\n",
     MOUNT_V1("/docker/9", "/cg/time", "cpu,cpuacct") MOUNT_V1("/docker/9", "/cg/mem", "memory"),
     {{"cg/time/cpu.cfs_quota_us", "50000\n"},
      {"cg/time/cpu.cfs_period_us", "100000\n"},
      {"cg/mem/memory.limit_in_bytes", "2097152\n"}}},
    {"version 1 without limits",
     0,
     0,
     "5:cpu:/\n4:memory:/\n",
     MOUNT_V1("/", "/cg/time", "cpu") MOUNT_V1("/", "/cg/mem", "memory"),
     {{"cg/time/cpu.cfs_quota_us", "-1\n"},
      {"cg/time/cpu.cfs_period_us", "100000\n"},
      {"cg/mem/memory.limit_in_bytes", "9223372036854771712\n"}}},
    {"both versions: time by version 1, memory by version 2",
     3,
     65536,
     "3:cpu:/s\n0::/s\n",
     MOUNT_V1("/", "/cg/time", "cpu") MOUNT_V2("/", "/cg/two"),
     {{"cg/time/s/cpu.cfs_quota_us", "300000\n"},
      {"cg/time/s/cpu.cfs_period_us", "100000\n"},
      {"cg/two/s/memory.max", "65536\n"}}},
    {"paths relative to the namespace of control groups",
     1,
     0,
     "0::/../sibling\n",
     MOUNT_V2("/..", "/sys/fs/cgroup"),
     {{"sys/fs/cgroup/sibling/cpu.max", "100000 100000\n"},
      {"sys/fs/cgroup/cpu.max", "max 100000\n"}}},
    {"nothing is mounted",
     0,
     0,
     "0::/a\n",
     "1 0 8:1 / / rw - ext4 /dev/sda rw\n",
     {{"sys/fs/cgroup/a/cpu.max", "100000 100000\n"}}},
};

static void test_cgroup_mounts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof MOUNT_CASES / sizeof *MOUNT_CASES; ++i) {
        const mount_case *row = &MOUNT_CASES[i];
        char root[] = "/tmp/convmark-cgroup-XXXXXX", command[64];
        assert_non_null(mkdtemp(root));
        put(root, "proc/self/cgroup", row->groups);
        if (row->mounts != NULL) {
            put(root, "proc/self/mountinfo", row->mounts);
        }
        for (size_t k = 0; k < 5 && row->files[k].name != NULL; ++k) {
            put(root, row->files[k].name, row->files[k].text);
        }
        const double quota = cm_cgroup_cpu_quota(root), memory = cm_cgroup_memory_limit(root);
        snprintf(command, sizeof command, "rm -rf -- '%s'", root);
        assert_int_equal(system(command), 0);
        if (quota != row->quota || memory != row->memory) {
            fail_msg("%s: %g CPUs instead of %g, %.0f bytes instead of %.0f", row->what, quota,
                     row->quota, memory, row->memory);
        }
    }
}

static void test_default_threads(void **state) {
    (void)state;
    assert_int_equal(cm_default_threads(8, 0), 8);
    assert_int_equal(cm_default_threads(8, 3.9), 3);
    assert_int_equal(cm_default_threads(8, 16), 8);
    assert_int_equal(cm_default_threads(8, 0.25), 1);
    assert_int_equal(cm_default_threads(8, 1e300), 8);
    assert_int_equal(cm_default_threads(0, 0), 1);
    assert_int_equal(cm_default_threads(4096, 0), CM_MAX_TEAM);
}

/* ---- topology ---- */

static cm_topology *load(void) {
    cm_topology *topology = NULL;
    cm_error error = {{0}};
    if (cm_topology_load(&topology, &error) != CM_OK) {
        fail_msg("%s", error.message);
    }
    return topology;
}

static void assert_consistent(const cm_topology *t) {
    assert_in_range(t->usable_cores, 1, t->cores);
    assert_in_range(t->usable_pus, t->usable_cores, t->pus);
    assert_in_range(t->default_threads, 1, t->usable_cores);
    assert_in_range(t->packages, 0, t->cores);
    assert_true(t->cpu_model[0] != '\0');
    for (int i = 0; i < t->usable_pus; ++i) {
        for (int k = 0; k < i; ++k) {
            assert_int_not_equal(t->pu_order[i], t->pu_order[k]);
        }
    }
}

/* Two packages of two cores, two threads each: one a core first, in the machine's order. */
static void test_order_of_pus(void **state) {
    (void)state;
    static const int order[] = {0, 2, 4, 6, 1, 3, 5, 7};
    setenv("HWLOC_SYNTHETIC", "pack:2 l3:1(size=2097152) core:2 l1d:1(size=32768) pu:2", 1);
    cm_topology *t = load();
    unsetenv("HWLOC_SYNTHETIC");
    assert_consistent(t);
    assert_int_equal(t->packages, 2);
    assert_int_equal(t->cores, 4);
    assert_int_equal(t->pus, 8);
    assert_int_equal(t->usable_pus, 8);
    assert_memory_equal(t->pu_order, order, sizeof order);
    assert_int_equal(t->cache_count, 2);
    assert_int_equal(t->caches[0].level, 1);
    assert_int_equal(t->caches[0].kind, 'd');
    assert_int_equal(t->caches[0].count, 4);
    assert_int_equal(t->caches[0].size, 32768);
    assert_int_equal(t->caches[1].level, 3);
    assert_int_equal(t->caches[1].kind, 'u');
    assert_int_equal(t->caches[1].count, 2);
    cm_topology_free(t);
}

/* Ten slow and ten fast cores in turns: the fast ones come first, in both orders. */
static void test_hybrid(void **state) {
    (void)state;
    setenv("HWLOC_XMLFILE", "data/topologies/gb10.xml", 1);
    cm_topology *t = load();
    unsetenv("HWLOC_XMLFILE");
    assert_consistent(t);
    assert_int_equal(t->kind_count, 2);
    assert_string_equal(t->kinds[0].name, "capacity 997");
    assert_int_equal(t->kinds[0].usable_cores, 10);
    assert_int_equal(t->kinds[1].usable_cores, 10);
    int order[64];
    char text[200];
    for (cm_pin pin = CM_PIN_COMPACT; pin <= CM_PIN_SCATTER; ++pin) {
        assert_int_equal(cm_topology_order(t, pin, order, NULL), CM_OK);
        for (int i = 0; i < 20; ++i) { /* 0x000f83e0 are the fast ones */
            assert_int_equal((0x000f83e0 >> order[i]) & 1, i < 10);
        }
    }
    cm_topology_kinds_text(t, 10, text, sizeof text);
    assert_string_equal(text, "10 x capacity 997");
    cm_topology_kinds_text(t, 12, text, sizeof text);
    assert_string_equal(text, "10 x capacity 997 + 2 x capacity 718");
    cm_topology_free(t);
}

static void test_other_machines(void **state) {
    (void)state;
    static const char *const settings[][2] = {{"HWLOC_SYNTHETIC", "pack:2 core:4 pu:2"},
                                              {"HWLOC_THISSYSTEM", "0"},
                                              {"HWLOC_XMLFILE", "data/topologies/gb10.xml"}};
    cm_error error;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; ++i) {
        setenv(settings[i][0], settings[i][1], 1);
        cm_topology *t = load();
        unsetenv(settings[i][0]);
        assert_int_equal(cm_topology_check_own(t, &error), CM_USAGE);
        assert_non_null(strstr(error.message, settings[i][0]));
        cm_topology_free(t);
    }
    cm_topology *t = load();
    assert_int_equal(cm_topology_check_own(t, &error), CM_OK);
    cm_topology_free(t);
    /* A file of a newer hwloc: the variable is the cause, not this machine. */
    setenv("HWLOC_XMLFILE", "data/topologies/hwloc3.xml", 1);
    const cm_status status = cm_topology_load(&t, &error);
    unsetenv("HWLOC_XMLFILE");
    if (status == CM_OK) { /* hwloc 3 reads it */
        cm_topology_free(t);
        return;
    }
    assert_int_equal(status, CM_USAGE);
    assert_non_null(strstr(error.message, "HWLOC_XMLFILE"));
}

static void test_many_cores(void **state) {
    (void)state;
    setenv("HWLOC_SYNTHETIC", "pack:4 core:512 pu:1", 1);
    cm_topology *t = load();
    unsetenv("HWLOC_SYNTHETIC");
    int *order = calloc(2048, sizeof *order);
    assert_int_equal(t->usable_cores, 2048);
    assert_int_equal(t->default_threads, CM_MAX_TEAM);
    assert_int_equal(cm_topology_order(t, CM_PIN_SCATTER, order, NULL), CM_OK);
    assert_int_equal(order[0], 0);
    assert_int_equal(order[1], 512);
    assert_int_equal(order[2047], 2047);
    free(order);
    cm_topology_free(t);
}

static void bind_to(const cm_topology *t, int first, int count) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (int i = first; i < first + count; ++i) {
        hwloc_bitmap_set(set, (unsigned)t->pu_order[i]);
    }
    assert_int_equal(hwloc_set_cpubind(t->hwloc, set, HWLOC_CPUBIND_PROCESS), 0);
    hwloc_bitmap_free(set);
}

static void test_affinity_mask(void **state) {
    (void)state;
    cm_topology *all = load();
    assert_consistent(all);
    bind_to(all, all->usable_pus - 1, 1);
    cm_topology *one = load();
    bind_to(all, 0, all->usable_pus);
    assert_int_equal(one->usable_pus, 1);
    assert_int_equal(one->usable_cores, 1);
    assert_int_equal(one->default_threads, 1);
    assert_int_equal(one->pu_order[0], all->pu_order[all->usable_pus - 1]);
    assert_int_equal(one->pus, all->pus);
    cm_topology_free(one);
    cm_topology_free(all);
}

/* ---- threads ---- */

/* What a library built with -ffast-math does to a thread. */
static void flush_denormals(const cm_team *team, void *context) {
    (void)team;
    (void)context;
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040u);
#elif defined(__aarch64__)
    uint64_t fpcr = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    fpcr |= UINT64_C(1) << 24;
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
#endif
}

static void round_up(const cm_team *team, void *context) {
    (void)team;
    (void)context;
    fesetround(FE_UPWARD);
}

static void count_standard(const cm_team *team, void *context) {
    (void)team;
    atomic_fetch_add((atomic_int *)context, cm_float_modes_standard() ? 1 : 0);
}

static int standard_threads(int threads) {
    atomic_int count = 0;
    cm_team_run(threads, count_standard, &count);
    return atomic_load(&count);
}

/* A team that is smaller than asked for (no OpenMP) is worth a warning, nothing else here is. */
static void assert_no_warning(const cm_error *warning, int size, int threads) {
    if (size == threads) {
        assert_string_equal(warning->message, "");
    } else {
        assert_non_null(strstr(warning->message, "OpenMP"));
    }
}

static void test_float_modes(void **state) {
    (void)state;
    cm_team_body *const spoilers[] = {flush_denormals, round_up};
    for (size_t i = 0; i < sizeof spoilers / sizeof *spoilers; ++i) {
        cm_error warning;
        const int size = cm_threads_prepare(3, false, NULL, &warning);
        assert_no_warning(&warning, size, 3);
        assert_int_equal(standard_threads(3), size);
        /* Each thread by itself, and the caller, whose modes LLVM's OpenMP runtime gives to all. */
        cm_team_run(3, spoilers[i], NULL);
        spoilers[i](NULL, NULL);
        assert_int_equal(standard_threads(3), 0);
        assert_int_equal(cm_threads_prepare(3, false, NULL, &warning), size);
        assert_int_equal(standard_threads(3), size);
    }
}

typedef struct place_check {
    const cm_topology *topology;
    bool pinned;
    atomic_int right;
} place_check;

static void check_place(const cm_team *team, void *context) {
    place_check *check = context;
    const cm_topology *t = check->topology;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    const bool known = hwloc_get_cpubind(t->hwloc, set, HWLOC_CPUBIND_THREAD) == 0;
    const int weight = hwloc_bitmap_weight(set);
    const bool right = check->pinned
                           ? weight == 1 && hwloc_bitmap_first(set) == t->pu_order[team->index]
                           : weight == t->usable_pus;
    atomic_fetch_add(&check->right, known && right ? 1 : 0);
    hwloc_bitmap_free(set);
}

static void assert_places(const cm_topology *t, int threads, bool pinned) {
    place_check check = {.topology = t, .pinned = pinned};
    cm_team_run(threads, check_place, &check);
    assert_int_equal(atomic_load(&check.right), threads);
}

static void test_pinning(void **state) {
    (void)state;
    cm_topology *t = load();
    cm_error warning;
    const int threads = cm_threads_prepare(t->usable_pus, true, t, &warning);
    assert_no_warning(&warning, threads, t->usable_pus);
    assert_places(t, threads, true);
    assert_int_equal(cm_threads_pinned(threads), true);
    cm_threads_prepare(threads, false, t, &warning);
    assert_int_equal(cm_threads_pinned(threads), t->usable_pus == 1);
    assert_string_equal(warning.message, "");
    assert_places(t, threads, false);

    const int many = cm_threads_prepare(t->usable_pus + 1, true, t, &warning);
#ifdef _OPENMP
    assert_int_equal(many, t->usable_pus + 1);
#endif
    assert_non_null(strstr(warning.message, "not pinned"));
    assert_places(t, many, false);
    cm_threads_prepare(1, true, NULL, &warning);
    assert_non_null(strstr(warning.message, "could not be pinned"));
    cm_topology_free(t);
}

/* ---- clock, machine ---- */

static void test_clock(void **state) {
    (void)state;
    const int64_t begin = cm_clock_ns();
    usleep(2000);
    assert_true(cm_clock_ns() - begin >= 2000000);
    char text[24];
    int year = 0, parts[5] = {0}, length = 0;
    cm_clock_utc(text);
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &year, &parts[0], &parts[1],
                            &parts[2], &parts[3], &parts[4], &length),
                     6);
    assert_int_equal(length, 20);
    assert_true(year >= 2024);
}

static const json_t *member(const json_t *object, const char *path) {
    char key[64];
    while (*path != '\0') {
        const size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        object = json_object_get(object, key);
        path += length + (path[length] == '.' ? 1 : 0);
    }
    return object;
}

static void test_machine(void **state) {
    (void)state;
    static const char *const keys[] = {"cpu.model",
                                       "cpu.packages",
                                       "cpu.numa_nodes",
                                       "cpu.cores",
                                       "cpu.pus",
                                       "cpu.usable_cores",
                                       "cpu.usable_pus",
                                       "cpu.quota",
                                       "cpu.caches",
                                       "cpu.frequency.governor",
                                       "cpu.frequency.turbo",
                                       "cpu.frequency.max_khz",
                                       "memory_bytes",
                                       "os",
                                       "kernel",
                                       "architecture",
                                       "build.version",
                                       "build.commit",
                                       "build.compiler",
                                       "build.flags",
                                       "build.type",
                                       "build.numeric_contract",
                                       "build.hwloc"};
    json_t *machine = NULL;
    cm_error error = {{0}};
    assert_int_equal(cm_machine_json(NULL, &machine, &error), CM_OK);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        if (member(machine, keys[i]) == NULL) {
            fail_msg("no \"%s\"", keys[i]);
        }
    }
    assert_true(json_integer_value(member(machine, "memory_bytes")) > 1 << 20);
    assert_non_null(strstr(json_string_value(member(machine, "build.flags")), "-ffp-contract=off"));
    const json_t *isas = member(machine, "cpu.isas");
    assert_string_equal(json_string_value(json_array_get(isas, 0)), "scalar");
    const json_t *best = json_array_get(isas, json_array_size(isas) - 1);
    assert_string_equal(json_string_value(best), cm_kernels_best()->name);
    json_decref(machine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cgroup_quota),    cmocka_unit_test(test_cgroup_mounts),
        cmocka_unit_test(test_default_threads), cmocka_unit_test(test_order_of_pus),
        cmocka_unit_test(test_hybrid),          cmocka_unit_test(test_other_machines),
        cmocka_unit_test(test_many_cores),      cmocka_unit_test(test_affinity_mask),
        cmocka_unit_test(test_float_modes),     cmocka_unit_test(test_pinning),
        cmocka_unit_test(test_clock),           cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
