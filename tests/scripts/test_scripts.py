"""scripts/run.sh, test.sh and lib.sh, with stand-ins for apt-get, cmake and ctest; and the scripts
that draw, without matplotlib.

Each test has a folder with a copy of the scripts, and a PATH of its own that holds the stand-ins
and the few ordinary tools that the scripts use. Every stand-in writes its call into a log.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
TOOLS = ("awk", "basename", "bash", "cat", "cp", "dirname", "env", "grep", "head", "mkdir", "nproc",
         "readlink", "rm", "sed", "sort", "tail", "touch", "uname")
LOG = 'echo "$(basename "$0") $*" >>"$LOG"\n'
CMAKE = LOG + """
case $1 in
--version) echo "cmake version $CMAKE_IS"; exit ;;
--preset) [ -z "${CMAKE_FAILS:-}" ] || { echo "the compiler says no"; exit 1; } ;;
--build) mkdir -p "$2/bin"; cp "$BIN/convmark" "$2/bin/convmark" ;;
esac
"""
CTEST = LOG + """
while [ "$1" != --output-junit ]; do shift; done
echo '<?xml version="1.0"?>
<testsuite name="Linux"
	tests="9"
	failures="'${FAILURES:-0}'"
	disabled="0"
	skipped="2"
	timestamp="1"
>
	<testcase name="a" failures="77" tests="77"/>
</testsuite>' >"$2"
exit ${FAILURES:-0}
"""


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="convmark-scripts-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.log = self.folder / "log"
        self.log.touch()
        shutil.copytree(SCRIPTS, self.folder / "scripts",
                        ignore=shutil.ignore_patterns("__pycache__"))
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.stand_in("id", "echo 0")

    def stand_in(self, name, body):
        path = self.bin / name
        path.write_text(f"#!{self.bin}/bash\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def debian(self, installs=""):
        """apt-get and dpkg; `installs` is run by the stand-in of `apt-get install`."""
        self.stand_in("apt-get", f'{LOG}case "$*" in *install*) {installs or ":"} ;; esac')
        self.stand_in("dpkg", LOG)

    def run_bash(self, text, *arguments, **environment):
        return subprocess.run(
            [str(self.bin / "bash"), "-c", text, str(self.folder / "scripts/run.sh"), *arguments],
            capture_output=True, text=True, check=False, cwd=self.folder,
            env={"PATH": str(self.bin), "LOG": str(self.log), "BIN": str(self.bin),
                 "HOME": str(self.folder), "CMAKE_IS": "3.25.1", **environment})

    def require(self, table):
        return self.run_bash('. scripts/lib.sh; require "$1"; echo "continued"', table)

    def calls(self, program):
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.split()[0] == program]


class Require(Sandbox):
    def test_nothing_missing_installs_nothing(self):
        self.debian()
        done = self.require("command sed sed sed\nfile /proc proc proc")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.calls("apt-get"), [])

    def test_only_what_is_missing_is_installed(self):
        self.debian('printf "#!/bin/sh\\n" >"$BIN/weld"; chmod +x "$BIN/weld"')
        (self.bin / "chmod").symlink_to(shutil.which("chmod"))
        done = self.require("command sed sed-package -\ncommand weld weld-package -")
        self.assertEqual(done.returncode, 0, done.stderr)
        update, install = self.calls("apt-get")
        self.assertIn("update", update)
        self.assertTrue(install.endswith("--no-install-recommends weld-package"), install)
        self.assertEqual([c for c in self.calls("dpkg") if "add" in c], [])

    def test_another_processor_is_added_first(self):
        self.debian('touch "$BIN/arm-lib"')
        done = self.require(f"file {self.bin}/arm-lib libx:arm64 -")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("dpkg --add-architecture arm64", self.calls("dpkg"))

    def test_failing_apt(self):
        self.debian("exit 100")
        done = self.require("command weld weld-package -")
        self.assertEqual(done.returncode, 1)
        self.assertIn("apt-get failed", done.stderr)
        self.assertNotIn("continued", done.stdout)

    def test_package_that_does_not_help(self):
        self.debian()
        done = self.require("command weld weld-package -")
        self.assertEqual(done.returncode, 1)
        self.assertIn("weld-package", done.stderr)
        self.assertNotIn("continued", done.stdout)

    def test_other_system_is_told_what_to_install(self):
        done = self.require("command weld weld-debian weld-fedora\nmodule libx x-debian x-fedora\n"
                            "command sed sed-debian sed-fedora")
        self.assertEqual(done.returncode, 1)
        for word in ("weld-debian", "weld-fedora", "x-debian", "x-fedora"):
            self.assertIn(word, done.stderr)
        self.assertNotIn("sed-debian", done.stderr)
        self.assertNotIn("continued", done.stdout)

    def test_other_system_with_everything(self):
        done = self.require("command sed sed-debian sed-fedora")
        self.assertEqual((done.returncode, done.stdout), (0, "continued\n"), done.stderr)

    def test_without_root(self):
        self.debian()
        self.stand_in("id", "echo 1000")
        done = self.require("command weld weld-package -")
        self.assertEqual(done.returncode, 1)
        self.assertIn("root", done.stderr)
        self.assertEqual(self.calls("apt-get"), [])

    def test_sudo(self):
        self.debian()
        self.stand_in("id", "echo 1000")
        self.stand_in("sudo", LOG + '"$@"')
        self.require("command weld weld-package -")
        self.assertEqual(len(self.calls("sudo")), 2)
        self.assertEqual(len(self.calls("apt-get")), 2)

    def test_data_in_each_place(self):
        table = "data fashion-mnist dataset-fashion-mnist -"
        command = '. scripts/lib.sh; missing "$1"'
        cache = self.folder / ".cache/convmark/fashion-mnist"
        cache.mkdir(parents=True)
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        if not pathlib.Path("/usr/share/datasets/fashion-mnist").exists():
            self.assertIn("dataset", self.run_bash(command, table).stdout)
        (elsewhere / "train-images-idx3-ubyte").touch()
        self.assertEqual(self.run_bash(command, table, CONVMARK_DATA=str(elsewhere)).stdout, "")
        (cache / "train-images-idx3-ubyte.gz").touch()
        self.assertEqual(self.run_bash(command, table).stdout, "")
        # A relative one does not count: the cache is where it was.
        self.assertEqual(self.run_bash(command, table, XDG_CACHE_HOME="relative").stdout, "")


class FindCmake(Sandbox):
    def find(self, version):
        self.stand_in("cmake", CMAKE)
        return self.run_bash(". scripts/lib.sh; find_cmake 3.25", CMAKE_IS=version).stdout.strip()

    def test_new_enough(self):
        for version in ("3.25.0", "3.31.6", "4.1.2"):
            self.assertEqual(self.find(version), str(self.bin / "cmake"), version)

    def test_too_old(self):
        for version in ("3.9.0", "3.24.9", ""):
            self.assertNotEqual(self.find(version), str(self.bin / "cmake"), version)


class Help(unittest.TestCase):
    def test_each_script_says_how_it_is_used(self):
        for name in ("run.sh", "test.sh", "ci/coverage.sh", "ci/fuzz.sh"):
            with self.subTest(name):
                done = subprocess.run([SCRIPTS / name, "--help"], capture_output=True, text=True,
                                      check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(f"usage: scripts/{name}", done.stdout)


class MainJob(Sandbox):
    def setUp(self):
        super().setUp()
        self.stand_in("cmake", CMAKE)
        # Options of a real CPU's name: "(R)" goes, all but letters and digits is a dash.
        self.stand_in("convmark", LOG + 'for o;do case $previous in --output) mkdir -p "$o";; esac;'
                      ' previous=$o; done\n[ "$1" = info ] && printf '
                      "'CPU               Intel(R) Xeon(R) X-1 @ 2 GHz \\nusable            2 "
                      "physical, 4 logical\\ninstruction sets  scalar avx2* avx512 (* used)\\n'\n"
                      "[ $1 = profile ] && echo the table of $2\nexit ${CONVMARK_EXITS:-0}")
        self.stand_in("python3", LOG)
        for tool in ("ninja", "gcc", "g++", "pkg-config"):
            self.stand_in(tool, "exit 0")

    def run_job(self, *arguments, **environment):
        return self.run_bash('"$0" "$@"', *arguments, CONVMARK_DATA=str(self.data()), **environment)

    def data(self):
        folder = self.folder / "data"
        folder.mkdir(exist_ok=True)
        (folder / "train-images-idx3-ubyte").touch()
        return folder

    def test_results_of_this_machine(self):
        done = self.run_job("--seeds", "10")
        self.assertEqual(done.returncode, 0, done.stderr)
        output = f"{self.folder}/results/intel-xeon-x-1-2-ghz-2-cores-avx2"
        self.assertEqual({words[1] for words in map(str.split, self.calls("convmark"))},
                         {"info", "report", "sweep", "profile"})
        self.assertEqual(pathlib.Path(output, "profile-bn-16.txt").read_text(),
                         "the table of bn-16\n")
        self.assertIn(output, done.stdout.splitlines()[-1])
        self.assertIn("report.html", done.stdout.splitlines()[-1])

    def test_other_output(self):
        done = self.run_job("--output", "here", "--variants=bn-3", "--data", "there", "--epochs",
                            "1")
        self.assertIn(" here: ", done.stdout.splitlines()[-1])
        calls = self.calls("convmark")
        self.assertEqual(len(calls), 3)
        for call in calls:
            self.assertIn(" here", call)
            self.assertIn("--data there", call)
        self.assertEqual(["bn-3" in call for call in calls], [True, True, False])

    def test_exit_code_is_the_program_s(self):
        self.assertEqual(self.run_job("--output", "here", CONVMARK_EXITS="3").returncode, 3)
        self.assertEqual(len(self.calls("convmark")), 1)

    def test_failed_build(self):
        self.assertNotEqual(self.run_job(CMAKE_FAILS="1").returncode, 0)
        self.assertEqual(self.calls("convmark"), [])


class Folders(Sandbox):
    """Neither the current folder nor a variable of the shell leads a script astray."""

    def test_modules_of_the_current_folder_are_not_run(self):
        (self.bin / "python3").symlink_to(sys.executable)
        (self.folder / "json.py").write_text('open("ran", "w")\n', encoding="utf-8")
        done = self.run_bash(". scripts/lib.sh; find_python json")
        self.assertEqual(done.stdout.strip(), str(self.bin / "python3"), done.stderr)
        self.assertFalse((self.folder / "ran").exists())

    def test_cdpath(self):
        (self.folder / "other/scripts").mkdir(parents=True)
        done = self.run_bash('. scripts/lib.sh; echo "$ROOT"', CDPATH=str(self.folder / "other"))
        self.assertEqual(done.stdout.strip(), str(self.folder), done.stderr)


class TestCommand(Sandbox):
    def setUp(self):
        super().setUp()
        self.stand_in("cmake", CMAKE)
        self.stand_in("ctest", CTEST)
        self.stand_in("convmark", "")
        self.stand_in("python3", 'case "$*" in *import*) exit 0 ;; *junit*) exec ' +
                      f'{sys.executable} "$@" ;; esac\nexit ${{RULES_EXIT:-0}}')
        for tool in ("ninja", "gcc", "g++", "pkg-config", "git", "chromium", "ctags"):
            self.stand_in(tool, "exit 0")

    def run_tests(self, *arguments, **environment):
        (self.folder / "train-images-idx3-ubyte").touch()
        return self.run_bash("scripts/test.sh \"$@\"", *arguments,
                             CONVMARK_DATA=str(self.folder), **environment)

    def test_counts(self):
        done = self.run_tests("--quick")
        self.assertEqual(done.stdout.splitlines()[-1], "11 passed, 0 failed", done.stderr)
        self.assertEqual(done.returncode, 0)
        self.assertIn("2 skipped", done.stdout)

    def test_failed_tests(self):
        done = self.run_tests("--quick", FAILURES="3")
        self.assertEqual(done.stdout.splitlines()[-1], "8 passed, 3 failed", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_failed_check(self):
        done = self.run_tests("--quick", RULES_EXIT="1")
        self.assertEqual(done.stdout.splitlines()[-1], "7 passed, 4 failed", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_failed_build(self):
        done = self.run_tests("--quick", CMAKE_FAILS="1")
        self.assertEqual(done.stdout.splitlines()[-1], "4 passed, 1 failed", done.stderr)
        self.assertIn("the compiler says no", done.stdout)
        self.assertEqual(done.returncode, 1)

    def test_ctest_that_never_ran(self):
        self.stand_in("ctest", "exit 1")
        done = self.run_tests("--quick")
        self.assertEqual(done.stdout.splitlines()[-1], "4 passed, 1 failed", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_architecture_is_added_only_when_asked_for(self):
        """By --all; the other runs leave dpkg's list of architectures as it is."""
        self.stand_in("pkg-config", "exit 0")
        for tool in ("clang", "clang-format-14", "aarch64-linux-gnu-gcc", "qemu-aarch64", "gcovr"):
            self.stand_in(tool, "exit 0")
        for words, added in ((["--quick"], False), ([], False), (["--all"], True)):
            with self.subTest(words):
                self.log.write_text("", encoding="utf-8")
                self.debian()
                self.run_bash("""ARM=/missing
                    sed -i 's:^ARM=.*:ARM=/missing:' scripts/lib.sh; . scripts/test.sh""", *words,
                              CONVMARK_DATA=str(self.folder))
                self.assertEqual("dpkg --add-architecture arm64" in self.calls("dpkg"), added)

    def test_unknown_words(self):
        (self.folder / "tests/fuzz").mkdir(parents=True)
        shutil.copy(SCRIPTS.parent / "tests/fuzz/CMakeLists.txt", self.folder / "tests/fuzz")
        for words in ("test.sh --fast", "ci/coverage.sh --fast", "ci/fuzz.sh no_target",
                      "ci/fuzz.sh 5 no_target"):
            with self.subTest(words):
                done = self.run_bash("scripts/" + words)
                self.assertEqual(done.returncode, 2)
                self.assertIn(words.split()[-1], done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1)
                self.assertEqual(self.log.read_text(encoding="utf-8"), "")


class Drawing(unittest.TestCase):
    def test_without_matplotlib(self):
        scripts = [*SCRIPTS.glob("plots/plot_*.py"), SCRIPTS / "plots/report_page.py"]
        self.assertGreater(len(scripts), 5)
        with tempfile.TemporaryDirectory(prefix="convmark-scripts-") as folder:
            pathlib.Path(folder, "matplotlib.py").write_text(
                "raise ModuleNotFoundError(\"No module named 'matplotlib'\")", encoding="utf-8")
            for script in scripts:
                with self.subTest(script.name):
                    done = subprocess.run([sys.executable, script, "a", "b"], check=False,
                                          capture_output=True, text=True,
                                          env={**os.environ, "PYTHONPATH": folder})
                    self.assertEqual((done.returncode, done.stdout), (1, ""))
                    self.assertRegex(done.stderr, rf"\A{script.name}: [^\n]*apt install "
                                                  r"python3-matplotlib[^\n]*\n\Z")

    def test_scripts_are_executable(self):
        for script in (SCRIPTS / "plots").glob("*.py"):
            first = script.read_text(encoding="utf-8").splitlines()[0]
            self.assertEqual(os.access(script, os.X_OK), first == "#!/usr/bin/env python3",
                             script.name)


if __name__ == "__main__":
    unittest.main()
