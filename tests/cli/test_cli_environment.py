"""What the environment does to the program: limits, threads, floating-point modes set from outside,
older processors, locale, paths, clocks. Results keep their bits, or one line says what is wrong."""
import json
import os
import platform
import pwd
import re
import resource
import shutil
import subprocess
import unittest

from cli_support import ONE_THREAD, PROGRAM, TINY_NETWORK, CliTest, environment, needs_teams

ALL = os.environ.get("CONVMARK_FAULTS", "").startswith("full")
SANITIZER = "CONVMARK_CHECK_CASES" in os.environ
RUN = ("--data", "synthetic", "--epochs", "1", "--steps", "2", "--valid-steps", "1")
TRAIN = ("train", "tiny.txt", *RUN)
native = unittest.skipIf(SANITIZER, "a sanitizer's library comes first and needs its own memory")


class EnvironmentTest(CliTest):
    def run_in(self, *words, program=(PROGRAM,), limits=(), cpus=None, user=None, env=None):
        """Runs the program with resource limits, on these CPUs, as another user."""
        def prepare():
            for limit, value in limits:
                resource.setrlimit(limit, (value, value))
            if cpus is not None:
                os.sched_setaffinity(0, cpus)
            if user is not None:
                os.setuid(user)
        return subprocess.run([*program, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              env=environment(env), cwd=self.folder, check=False,
                              preexec_fn=prepare)

    def hash_of(self, *words, errors=r"\A\Z", **how):
        """The hash that ends a training, which prints this on standard error."""
        result = self.run_in(*TRAIN, *words, **how)
        text = result.stderr.decode()
        self.assertEqual(result.returncode, 0, text)
        self.assertRegex(text, errors)
        return re.search(r"^sha256 ([0-9a-f]{64})$", result.stdout.decode(), re.MULTILINE)[1]

    def refused(self, code, *words, **how):
        """The one line of a run that ends with this exit code."""
        result = self.run_in(*words, **how)
        self.assertEqual(result.returncode, code, (words, result.stderr))
        text = result.stderr.decode("utf-8", "surrogateescape")
        self.assertRegex(text, r"\Aconvmark: [^\n]+\n\Z")
        return text

    def preload(self, source):
        """The variables that load a library made of this C text."""
        path = self.write("preload.c", source)
        library = self.path(f"preload{len(os.listdir(self.folder))}.so")
        subprocess.run([*os.environ["CC"].split(), "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE",
                        "-o", library, path, "-lm", "-ldl"], check=True)
        return {"LD_PRELOAD": library}


class Limits(EnvironmentTest):
    """Stacks, threads and memory that the system does not give: one line, not a signal."""

    @native
    def test_stack(self):
        for size in (64, 128, 511):
            text = self.refused(1, *TRAIN, limits=[(resource.RLIMIT_STACK, size << 10)])
            self.assertIn("ulimit -s", text)
        enough = [(resource.RLIMIT_STACK, 512 << 10)]
        # The deepest frames are those of direct convolution; both threads have this stack.
        threads = "1" if ONE_THREAD else "2"
        for words in (("bn-3", "--conv-algorithm", "direct"), ("bn-16",)):
            self.assertEqual(self.run_in("train", *words, *RUN, "--batch", "2", "--threads",
                                         threads, "--quiet", limits=enough).stderr, b"")

    @needs_teams
    def test_stacks_of_threads(self):
        for value in ("16k", "65536B", "511", "256 K "):
            for command in ((*TRAIN, "--threads", "2"), ("verify",)):
                text = self.refused(2, *command, env={"OMP_STACKSIZE": value})
                self.assertIn(f"OMP_STACKSIZE={value}", text)
        expected = self.hash_of("--threads", "2")
        for value in ("512k", "1M", "600"):
            self.assertEqual(self.hash_of("--threads", "2", env={"OMP_STACKSIZE": value}), expected)

    @needs_teams
    @native
    def test_stacks_larger_than_memory(self):
        text = self.refused(1, *TRAIN, "--threads", "2", env={"OMP_STACKSIZE": "900000G"})
        self.assertIn("starts 1 of 2 threads", text)

    @needs_teams
    @native
    def test_number_of_processes(self):
        if os.getuid() != 0:
            self.skipTest("the limit counts all programs of this user")
        os.chmod(self.folder, 0o777)
        program = shutil.copy(PROGRAM, self.path("convmark"))
        for words in ((*TRAIN, "--threads", "8"), ("info", "--threads", "8"), ("verify",)):
            text = self.refused(1, *words, program=(program,), user=pwd.getpwnam("nobody").pw_uid,
                                limits=[(resource.RLIMIT_NPROC, 4)])
            self.assertRegex(text, r"starts \d of \d threads")

    @native
    def test_memory(self):
        # From too little for anything up to enough: done, or one line, at every step.
        codes = set()
        for size in range(12, 132, 8):
            result = self.run_in(*TRAIN, limits=[(resource.RLIMIT_AS, size << 20)])
            error = result.stderr.decode()
            # Not even the program's libraries can be loaded; or the OpenMP runtime, whose threads
            # can be started, ends it for want of memory of its own (docs/design/reliability.md).
            if result.returncode == 127 or error.startswith(("OMP: ", "libgomp: ")):
                self.assertNotEqual(result.returncode, 0)
                continue
            codes.add(result.returncode)
            self.assertRegex(error, r"\A\Z" if result.returncode == 0 else
                             r"\Aconvmark: [^\n]+\n\Z", f"{size} MiB")
        self.assertEqual(codes, {0, 1})


class Threads(EnvironmentTest):
    """How many threads there are, and where, changes no bit."""

    @needs_teams
    def test_more_than_cores(self):
        warning = r"\Aconvmark: warning: --threads 9 is more than [^\n]+\n\Z"
        if os.cpu_count() >= 9:
            self.skipTest("this machine has so many cores")
        self.assertEqual(self.hash_of("--threads", "9", errors=warning),
                         self.hash_of("--threads", "1"))

    def test_one_cpu(self):
        expected = self.hash_of()
        for cpu in sorted(os.sched_getaffinity(0))[:2]:
            self.assertEqual(self.hash_of(cpus={cpu}), expected)
            text = self.run_in("info", "--no-measure", cpus={cpu}).stdout.decode()
            self.assertIn("1 thread by default", text)

    @needs_teams
    def test_quota_of_a_control_group(self):
        group = f"/sys/fs/cgroup/cpu/convmark-test-{os.getpid()}"
        try:
            os.mkdir(group)
            self.addCleanup(os.rmdir, group)
            with open(os.path.join(group, "cpu.cfs_quota_us"), "w") as file:
                file.write("150000")
        except OSError as error:
            self.skipTest(f"no control group can be made here: {error}")
        enter = ("sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh", PROGRAM)
        text = self.run_in("info", "--no-measure", program=enter).stdout.decode()
        self.assertIn("CPU quota of 1.50; 1 thread by default", text)
        self.assertEqual(self.hash_of(program=enter), self.hash_of())

    @needs_teams
    def test_variables_of_openmp_change_nothing(self):
        expected = self.hash_of("--threads", "2")
        for name, value in (("OMP_DYNAMIC", "true"), ("OMP_NESTED", "true"),
                            ("OMP_MAX_ACTIVE_LEVELS", "8"), ("OMP_SCHEDULE", "dynamic,1"),
                            ("OMP_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "7"),
                            ("OMP_WAIT_POLICY", "active"), ("OMP_CANCELLATION", "true")):
            with self.subTest(name, value=value):
                # Some runtimes say that OMP_NESTED is an old name.
                self.assertEqual(self.hash_of("--threads", "2", env={name: value}, errors=r"\A"),
                                 expected)

    def test_numbers_that_are_none(self):
        # The runtime may complain of its own variable: a line that is its own.
        for value in ("0", "-1", "abc", "1000000000", ""):
            with self.subTest(value):
                self.refused(2, *TRAIN, "--threads", value)
                result = self.run_in(*TRAIN, env={"OMP_NUM_THREADS": value})
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertNotIn(b"convmark", result.stderr)
                usable = len(os.sched_getaffinity(0))
                self.assertLessEqual(int(re.search(rb"(\d+) threads?", result.stdout)[1]), usable)

    @needs_teams
    def test_limits_of_openmp_are_refused(self):
        for name, value in (("OMP_THREAD_LIMIT", "1"), ("OMP_MAX_ACTIVE_LEVELS", "0")):
            self.assertIn(name, self.refused(2, *TRAIN, "--threads", "2", env={name: value}))


class Facts(EnvironmentTest):
    """What results say of the machine and of places is true, or there are no results."""

    FOREIGN = {"HWLOC_SYNTHETIC": "pack:2 core:4 pu:2", "HWLOC_THISSYSTEM": "0"}

    def test_another_machine_is_refused(self):
        for name, value in self.FOREIGN.items():
            for words in (TRAIN, ("info",), ("sweep", "--data", "synthetic"), ("verify",)):
                self.assertIn(name, self.refused(2, *words, env={name: value}))
            result = self.run_in("info", "--no-measure", "--json", "-", env={name: value})
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(b"describes another machine", result.stderr)
            cpu = json.loads(result.stdout)["machine"]["cpu"]
            self.assertEqual(cpu["described_by"], f"{name}={value}")
            bench = os.path.join(os.path.dirname(PROGRAM), "convmark-bench")
            if os.path.exists(bench):
                result = self.run_in("--benchmark_filter=^relu/forward", program=(bench,),
                                     env={name: value})
                self.assertEqual(result.returncode, 2)
                self.assertIn(name.encode(), result.stderr)

    @needs_teams
    def test_smaller_teams_in_the_bench(self):
        bench = os.path.join(os.path.dirname(PROGRAM), "convmark-bench")
        if not os.path.exists(bench):
            self.skipTest("no Google Benchmark")
        words = ("--threads", "2", "--isa", "scalar", "--caches", "warm",
                 "--benchmark_filter=^relu/forward", "--benchmark_min_time=0.001")
        result = self.run_in(*words, program=(bench,), env={"OMP_THREAD_LIMIT": "1"})
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"the OpenMP runtime gives 1", result.stdout)

    def pinned(self, *words, **how):
        result = self.run_in(*TRAIN, *words, "--quiet", "--json", "-", **how)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["pinned"]

    @needs_teams
    @native
    def test_bindings_of_openmp_are_undone(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("one CPU")
        for name, value in (("OMP_PROC_BIND", "True"), ("OMP_PROC_BIND", "False"),
                            ("OMP_PROC_BIND", "close"), ("OMP_PLACES", "cores"),
                            ("KMP_AFFINITY", "none"), ("KMP_AFFINITY", "compact")):
            with self.subTest(name, value=value):
                result = self.run_in("info", "--no-measure", "--json", "-", env={name: value})
                cpu = json.loads(result.stdout)["machine"]["cpu"]
                self.assertEqual(cpu["usable_pus"], len(cpus))
                self.assertIs(self.pinned("--threads", "2", env={name: value}), True)

    @needs_teams
    @native
    def test_pinned_is_read_back(self):
        ignored = self.preload("int sched_setaffinity(int pid, unsigned long size, const void *set)"
                               "{ (void)pid; (void)size; (void)set; return 0; }\n")
        result = self.run_in(*TRAIN, "--threads", "2", "--quiet", "--json", "-", env=ignored)
        self.assertEqual(result.returncode, 0, result.stderr)
        if len(os.sched_getaffinity(0)) > 1:
            self.assertIs(json.loads(result.stdout)["pinned"], False)
            self.assertIn(b"warning: the system does not keep", result.stderr)


# Every thread begins with denormals flushed (x86) and rounding up, as after a library built with
# -ffast-math; the second text takes away what would put it right.
SPOIL_THREADS = r"""
#include <dlfcn.h>
#include <fenv.h>
#include <pthread.h>
#include <stdlib.h>
static void disturb(void) {
    fesetround(FE_UPWARD);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040u);
#endif
}
__attribute__((constructor)) static void before_main(void) { disturb(); }
typedef struct work { void *(*body)(void *); void *context; } work;
static void *disturbed(void *context) {
    work mine = *(work *)context;
    free(context);
    disturb();
    return mine.body(mine.context);
}
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *context) {
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    work *mine = malloc(sizeof *mine);
    *mine = (work){body, context};
    return next(thread, attributes, disturbed, mine);
}
"""
KEEP_MODES = "int fesetenv(const fenv_t *modes) { (void)modes; return 0; }\n"


@native
class FloatModes(EnvironmentTest):
    def test_put_right_on_every_thread(self):
        disturbed = self.preload(SPOIL_THREADS)
        threads = ("1", "2", "5") if os.environ.get("CONVMARK_OPENMP") != "OFF" else ("1",)
        for count in threads:
            words = ("--threads", count, "--quiet", "--save", "right")
            self.assertEqual(self.run_in(*TRAIN, *words).returncode, 0)
            words = ("--threads", count, "--quiet", "--save", "disturbed")
            self.assertEqual(self.run_in(*TRAIN, *words, env=disturbed).returncode, 0)
            with open(self.path("right"), "rb") as right, \
                    open(self.path("disturbed"), "rb") as other:
                self.assertEqual(right.read(), other.read())

    def test_the_library_does_spoil(self):
        disturbed = self.preload(SPOIL_THREADS + KEEP_MODES)
        warning = r"\Aconvmark: warning: .*IEEE 754"
        self.assertNotEqual(self.hash_of(env=disturbed, errors=warning), self.hash_of())

    def test_evaluate(self):
        self.assertEqual(self.run_in(*TRAIN, "--quiet", "--save", "model").returncode, 0)
        words = ("evaluate", "model", "--data", "synthetic")
        right, disturbed = (self.run_in(*words, env=env).stdout
                          for env in ({}, self.preload(SPOIL_THREADS)))
        without_speed = [re.sub(rb"[\d,.]+ images/s|[\d.]+ s\b", b"", text)
                         for text in (right, disturbed)]
        self.assertEqual(*without_speed)


@native
@unittest.skipUnless(platform.machine() == "x86_64" and shutil.which("qemu-x86_64"),
                     "needs qemu-x86_64")
class OlderProcessors(EnvironmentTest):
    """From the first 64-bit processors on: what they can run is chosen, the rest refused. The
    emulator has no AVX-512: it takes that away from processors that have it."""

    PROCESSORS = (("Opteron_G1", "scalar"), ("Nehalem", "scalar"), ("SandyBridge", "scalar"),
                  ("Haswell,-fma", "scalar"), ("max,-xsave", "scalar"), ("Haswell", "avx2"),
                  ("Skylake-Server", "avx2"), ("EPYC", "avx2"))
    TRAINED = ("Opteron_G1", "SandyBridge", "Haswell") # the first one of each kind, if not ALL
    NETWORK = TINY_NETWORK.replace("max_pool2d", "conv2d 4 kernel 3\nbatch_norm\nmax_pool2d", 1)

    def emulate(self, processor):
        return ("sh", "-c", 'exec "$@" 2>errors', "sh", "qemu-x86_64", "-cpu", processor, PROGRAM)

    def test_runs_on_each(self):
        self.write("tiny.txt", self.NETWORK)
        expected = self.hash_of("--threads", "1")
        for processor, isa in self.PROCESSORS:
            program = self.emulate(processor)
            with self.subTest(processor):
                result = self.run_in("info", "--no-measure", program=program)
                self.assertEqual(result.returncode, 0)
                self.assertRegex(result.stdout.decode(), rf"\ninstruction sets .*\b{isa}\*")
                if processor in self.TRAINED or ALL:
                    text = self.run_in(*TRAIN, "--threads", "1", program=program).stdout.decode()
                    self.assertIn(f" {isa}, 1 thread,", text)
                    self.assertIn(f"sha256 {expected}\n", text)

    def test_forced_set_that_is_not_there(self):
        for processor, isa in (("Opteron_G1", "avx2"), ("SandyBridge", "avx2"),
                               ("Haswell", "avx512"), ("Skylake-Server", "avx512")):
            program = self.emulate(processor)
            for words, env in (((*TRAIN, "--isa", isa), {}), (TRAIN, {"CONVMARK_ISA": isa}),
                               (("verify",), {"CONVMARK_ISA": isa})):
                with self.subTest(processor, env=env):
                    self.assertEqual(self.run_in(*words, program=program, env=env).returncode, 2)
                    with open(self.path("errors")) as file: # the emulator's warnings come first
                        self.assertRegex(file.read(), rf"convmark: \S+ '{isa}' cannot run on "
                                         r"this CPU and system; choose one of: [^\n]+\n\Z")


class Locale(EnvironmentTest):
    def setUp(self):
        super().setUp()
        if shutil.which("localedef") is None or not os.path.exists("/usr/share/i18n/locales/de_DE"):
            self.skipTest("needs localedef and the sources of the locales")
        os.mkdir(self.path("locales"))
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8",
                        self.path("locales/de_DE.UTF-8")], check=True, stderr=subprocess.DEVNULL)
        self.german = {"LOCPATH": self.path("locales"), "LC_ALL": "de_DE.UTF-8",
                       "LANGUAGE": "de"}

    def test_same_bytes(self):
        printed = subprocess.run(["/usr/bin/printf", "%.1f", "1,5"], env=self.german,
                                 capture_output=True, check=False).stdout
        self.assertEqual(printed, b"1,5", "the locale is not in force")
        self.assertEqual(self.hash_of(env=self.german), self.hash_of())
        outputs = []
        for env in ({}, self.german):
            self.assertEqual(self.run_in(*TRAIN, "--quiet", "--lr", "0.125", "--save", "model",
                                         "--json", "train.json", env=env).returncode, 0)
            with open(self.path("model"), "rb") as file:
                model = file.read()
            results = self.read_json("train.json")
            self.assertEqual(results["options"]["learning_rate"], 0.125)
            texts = [self.run_in(*words, env=env).stdout for words in (
                ("describe", "bn-3"), ("variants",), ("describe", "bn-3", "--json", "-"),
                ("train", "--help"))]
            outputs.append((model, self.numbers(results), texts))
        self.assertEqual(outputs[0], outputs[1])

    def numbers(self, results):
        return [(epoch["train_loss"], epoch["test_loss"], epoch["accuracy"])
                for epoch in results["epochs"]]

    def test_messages(self):
        for words in (("describe", "missing.txt"), ("train", "tiny.txt", "--lr", "0,5"),
                      ("train", "tiny.txt", "--save", "missing/model")):
            self.assertEqual(self.run_in(*words, env=self.german).stderr,
                             self.run_in(*words).stderr)


class Paths(EnvironmentTest):
    def test_bytes_that_are_not_utf8(self):
        name = b"gr\xfc\xdfe\xff"
        shutil.copy(self.network, os.path.join(self.folder.encode(), name + b".txt"))
        words = ("train", name + b".txt", *RUN, "--quiet", "--save", name, "--json", "t.json")
        self.assertEqual(self.run_in(*words).stderr, b"")
        self.assertIn("gr??e?", json.dumps(self.read_json("t.json")))
        for words in (("evaluate", name, "--data", "synthetic"), ("describe", name + b".txt")):
            self.assertEqual(self.run_in(*words).returncode, 0)
        self.refused(3, "evaluate", name + b"2", "--data", "synthetic")

    def test_as_long_as_the_system_allows(self):
        path = self.path("d")
        while len(path) < 3800:
            path = os.path.join(path, "x" * 200)
        os.makedirs(path)
        path = os.path.join(path, "m" * (4095 - 80 - len(path)))
        self.assertEqual(self.run_in(*TRAIN, "--quiet", "--save", path).stderr, b"")
        self.assertEqual(self.run_in("evaluate", path, "--data", "synthetic").returncode, 0)

    def test_too_long(self):
        for path in ("/" + "x" * 300, "/".join(["x" * 250] * 17), "x/" * 40000):
            for words in (("train", path), ("describe", path), ("evaluate", path),
                          ("predict", path, path), ("export", path), ("compare", path, path),
                          ("profile", path), (*TRAIN, "--save", path), (*TRAIN, "--json", path),
                          (*TRAIN, "--load", path), ("train", "tiny.txt", "--data", path),
                          ("report", "--output", path, *RUN, "--allow-synthetic"),
                          ("sweep", "--output", path, "--data", "synthetic"),
                          ("info", "--no-measure", "--json", path)):
                with self.subTest(words[0], length=len(path)):
                    result = self.run_in(*words)
                    self.assertIn(result.returncode, (1, 2, 3))
                    lines = [line for line in result.stderr.decode().splitlines()
                             if not line.startswith("convmark: warning: ")]
                    self.assertEqual(len(lines), 1, lines)
                    self.assertRegex(lines[0], r"\Aconvmark: ")


@native
class Clock(EnvironmentTest):
    def test_set_back(self):
        back = self.preload(r"""
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static long calls;
static long now(void) { return 1700000000 - 3600 * ++calls; }
time_t time(time_t *at) { long t = now(); if (at) *at = t; return t; }
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone; at->tv_sec = now(); at->tv_usec = 0; return 0; }
int clock_gettime(clockid_t clock, struct timespec *at) {
    int (*next)(clockid_t, struct timespec *);
    *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
    if (clock != CLOCK_REALTIME) return next(clock, at);
    at->tv_sec = now(); at->tv_nsec = 0; return 0; }
""")
        self.assertEqual(self.hash_of(env=back), self.hash_of())
        runs = {"train.json": (*TRAIN, "--quiet", "--json", "train.json"),
                "sweep/sweep.json": ("sweep", "--variants", "tiny.txt", "--cores", "1", "--rounds",
                                     "2", "--seconds", "0.01", "--no-accuracy", "--quiet",
                                     "--output", "sweep", "--data", "synthetic")}
        for name, words in runs.items():
            self.assertEqual(self.run_in(*words, env=back).returncode, 0)
            content = self.read_json(name)
            if name == "train.json":  # the clock that was set back is the one that is asked
                self.assertIn("2023-11-1", json.dumps(content))
            self.assert_no_negative_times(name, content)

    def assert_no_negative_times(self, name, value):
        if isinstance(value, dict):
            for key, item in value.items():
                if "second" in key and isinstance(item, (int, float)):
                    self.assertGreaterEqual(item, 0, (name, key))
                self.assert_no_negative_times(name, item)
        elif isinstance(value, list):
            for item in value:
                self.assert_no_negative_times(name, item)


if __name__ == "__main__":
    unittest.main()
