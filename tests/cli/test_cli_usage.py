"""The command line: help, the man page, unknown names, wrong values, outputs that cannot be
written, standard output that is lost."""
import json
import os
import re
import subprocess
import unittest

from cli_support import COMMANDS, CliTest, needs_teams

MAN_PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs",
                        "reference", "convmark.1")


def options_in(text):
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text))


class Help(CliTest):
    def test_lists_every_command(self):
        text = self.succeed("--help")
        listed = re.findall(r"^  ([a-z]+) +\S", text, re.MULTILINE)
        self.assertEqual(listed, COMMANDS)
        self.assertEqual(self.succeed("-h"), text)

    def test_version(self):
        self.assertRegex(self.succeed("--version"), r"\Aconvmark \d+\.\d+\.\d+\n\Z")

    def test_each_command_has_help(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = self.succeed(command, "--help")
                self.assertTrue(text.startswith(f"Usage: convmark {command} "))
                self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_help_wins_over_missing_arguments(self):
        self.assertEqual(self.succeed("train", "x", "y", "-h"), self.succeed("train", "--help"))


class Order(CliTest):
    def test_options_after_arguments_also_where_posix_is_asked_for(self):
        self.assertEqual(self.succeed("describe", "baseline", "--json", "-",
                                      env={"POSIXLY_CORRECT": "1"}),
                         self.succeed("describe", "--json", "-", "baseline"))


class ManPage(CliTest):
    """The man page names the commands, arguments and options that --help names, and no others."""

    @classmethod
    def setUpClass(cls):
        with open(MAN_PAGE) as file:
            plain = re.sub(r"\\f[BIRP]", "", file.read().replace("\\-", "-"))
        cls.commands = {}
        section = re.search(r"^\.SH COMMANDS$(.*?)^\.SH", plain, re.MULTILINE | re.DOTALL)[1]
        for part in re.split(r"^\.SS ", section, flags=re.MULTILINE)[1:]:
            usage, _, text = part.partition("\n")
            cls.commands[usage.split()[0]] = (" ".join(usage.split()), text)
        cls.shared = re.search(r"^\.SH SHARED OPTIONS$(.*?)^\.SH", plain,
                               re.MULTILINE | re.DOTALL)[1]

    def test_commands(self):
        self.assertEqual(list(self.commands), COMMANDS)

    def test_arguments_and_options(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = self.succeed(command, "--help")
                usage, described = self.commands[command]
                self.assertEqual(f"Usage: convmark {usage} [OPTION]...", text.splitlines()[0])
                offered = set(re.findall(r"^  --([a-z-]+)", text, re.MULTILINE)) - {"help"}
                self.assertEqual(options_in(described), offered)

    def test_shared_options_are_described(self):
        described = set(re.findall(r"^\.BI? --([a-z-]+)", self.shared, re.MULTILINE))
        self.assertEqual(described, {"data", "threads", "isa", "pin", "no-pin", "quiet"})


class UnknownNames(CliTest):
    def test_command(self):
        self.assertIn("did you mean train?", self.fails(2, "tran"))
        self.assertIn("--help", self.fails(2, "qqqqqqqq"))
        self.assertIn("--help", self.fails(2))
        self.assertIn("--version", self.fails(2, "--verison"))
        self.fails(2, "--help", "train")

    def test_option(self):
        self.assertIn("--seed", self.fails(2, "train", "baseline", "--sed", "3"))
        self.assertIn("--valid-steps", self.fails(2, "train", "baseline", "--validsteps=3"))
        self.assertIn("unknown option '--qqqqqqqq'", self.fails(2, "variants", "--qqqqqqqq"))
        self.assertIn("unknown option '-x'", self.fails(2, "variants", "-x"))

    def test_variant(self):
        for command in ("train", "describe"):
            self.assertIn("'bn-16'", self.fails(2, command, "bn16"))
        self.assertIn("unknown variant", self.fails(2, "train", "qqqqqqqq"))

    def test_control_characters_do_not_reach_the_terminal(self):
        self.assertNotIn("\x1b", self.fails(2, "train", "\x1b[31mred"))

    def test_number_of_words(self):
        self.assertIn("VARIANT|FILE", self.fails(2, "train"))
        self.assertIn("'bn-3'", self.fails(2, "train", "baseline", "bn-3"))
        self.assertIn("'x'", self.fails(2, "variants", "x"))
        self.fails(2, "predict", "model")

    def test_values_that_are_missing_or_too_many(self):
        self.assertIn("needs a value", self.fails(2, "train", "baseline", "--epochs"))
        self.assertIn("takes no value", self.fails(2, "train", "baseline", "--quiet=1"))


class WrongValues(CliTest):
    def refuse(self, option, *values):
        for value in values:
            with self.subTest(option=option, value=value):
                text = self.fails(2, "train", self.network, "--data", "synthetic", option, value)
                self.assertIn(option, text)

    def test_more_steps_than_any_machine_does(self):
        text = self.fails(2, "train", "missing.txt", "--data", "missing", "--epochs", "100000",
                          "--steps", "1000000", "--json", "missing/file")
        self.assertIn("--epochs 100000", text)
        self.assertIn("--steps 1000000", text)

    def test_whole_numbers(self):
        for option in ("--epochs", "--steps", "--valid-steps", "--batch", "--threads", "--seed"):
            self.refuse(option, "-1", "abc", "", " 1", "1 ", "1x", "1.5", "1e3", "0x10", "+1",
                        "99999999999999999999", "nan")

    def test_ranges(self):
        self.refuse("--threads", "0", "1025", "1000000000")
        self.refuse("--batch", "0", "10001")
        self.refuse("--epochs", "100001", "2147483648", "4294967297")
        self.refuse("--steps", "1000001")
        self.refuse("--seed", str(2**63), str(2**64))

    def test_decimal_numbers(self):
        for option in ("--lr", "--weight-decay"):
            self.refuse(option, "-0.1", "abc", "", " 1", "1 ", "0,1", "0x1p-3", "nan", "inf",
                        "1e999", "1e-999", "1001", "--quiet")

    def test_largest_seed(self):
        self.assertEqual(self.train("--seed", str(2**63 - 1))["seed"], 2**63 - 1)

    def test_empty_paths(self):
        for option in ("--data", "--save", "--load", "--json", "--isa"):
            self.refuse(option, "")

    def test_instruction_set(self):
        other = "avx2" if os.uname().machine == "aarch64" else "neon"
        for name, problem in (("sse9", "is not an instruction set"),
                              (other, "is not in this build")):
            for env, words in (({}, ("--isa", name)), ({"CONVMARK_ISA": name}, ())):
                text = self.fails(2, "train", self.network, *words, env=env)
                self.assertIn(problem, text)
                self.assertIn("scalar", text)
                self.assertIn("--isa" if words else "CONVMARK_ISA", text)

    def test_unknown_algorithm(self):
        for command in ("train", "profile", "evaluate"):
            text = self.fails(2, command, self.network, "--conv-algorithm", "fft")
            self.assertIn("'fft' is not an algorithm; choose auto, direct, ", text)
            names = re.findall(r"\w+", text.rpartition("choose ")[2].replace(" or ", ", "))
            # The error's names are the kernels'; these are written by hand.
            usage = self.succeed(command, "--help")
            with open(MAN_PAGE) as page, open("../docs/reference/results.schema.json") as schema:
                manual, allowed = page.read(), json.load(schema)["$defs"]["conv_algorithm"]["enum"]
            self.assertEqual(names, allowed)
            for name in names:
                self.assertIn(name, usage)
                self.assertIn(name, manual)

    def test_option_wins_over_the_environment(self):
        self.succeed("train", self.network, "--steps", "0", "--isa", "scalar",
                     env={"CONVMARK_ISA": "sse9"})
        text = self.succeed("train", self.network, "--steps", "0", env={"CONVMARK_ISA": "scalar"})
        self.assertIn("scalar", text)


class OpenMP(CliTest):
    """Variables of the OpenMP runtime change nothing, or are refused where they limit a team."""

    @needs_teams
    def test_fewer_threads_than_asked_are_refused(self):
        limit = {"OMP_THREAD_LIMIT": "1"}
        text = self.fails(2, "train", self.network, "--steps", "0", "--threads", "2", "--quiet",
                          env=limit)
        self.assertIn("OMP_THREAD_LIMIT", text)
        text = self.fails(2, "verify", env=limit)
        self.assertIn("OMP_THREAD_LIMIT", text)
        self.assertNotIn("--threads", text)

    def test_others_are_ignored(self):
        text = self.succeed("train", self.network, "--steps", "0", "--threads", "1",
                            env={"OMP_NUM_THREADS": "3", "OMP_DYNAMIC": "true",
                                 "OMP_PROC_BIND": "false"})
        self.assertIn("1 thread\n", text)

    @needs_teams
    def test_more_threads_than_cores_are_a_warning(self):
        words = ("train", self.network, "--steps", "0", "--threads", "600")
        result = self.run_program(*words)
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), r"\Aconvmark: warning: --threads 600 [^\n]*\n\Z")
        self.succeed(*words, "--quiet")

    @needs_teams
    @unittest.skipIf("CONVMARK_CHECK_CASES" in os.environ, "a sanitizer's own library goes first")
    def test_float_modes_are_a_warning_always(self):
        self.write("fesetenv.c", "int fesetenv(const void *modes) { (void)modes; return 1; }\n")
        subprocess.run([*os.environ["CC"].split(), "-shared", "-fPIC", "-o", self.path("lib.so"),
                        self.path("fesetenv.c")], check=True)
        words = ("train", self.network, "--steps", "0", "--threads")
        for more in (("1", "--quiet"), ("600", "--quiet"), ("600",)):
            result = self.run_program(*words, *more, env={"LD_PRELOAD": self.path("lib.so")})
            self.assertEqual(result.returncode, 0)
            lines = result.stderr.decode().splitlines()
            self.assertEqual(len(lines), 1 if "--quiet" in more else 2, lines)
            self.assertRegex(lines[-1], "^convmark: warning: .*IEEE 754")


class Outputs(CliTest):
    """What cannot be written is found before there is work to lose."""

    def test_refused_before_the_data_is_looked_for(self):
        for option in ("--save", "--json"):
            for path in ("missing/file", self.folder, "/dev/null"):
                with self.subTest(option=option, path=path):
                    text = self.fails(2, "train", self.network, "--data", "missing", option, path)
                    self.assertIn(option, text)
        self.assertIn("--json", self.fails(2, "evaluate", "missing", "--json", "missing/file"))

    def test_a_model_is_not_printed(self):
        self.assertIn("--save", self.fails(2, "train", self.network, "--save", "-"))

    def test_one_file_for_two_outputs(self):
        self.fails(2, "train", self.network, "--save", "same", "--json", "same")
        self.assert_no_files("same")

    def test_each_command_that_writes(self):
        self.assertIn("both 'x'", self.fails(2, "profile", "bn-3", "--json", "x", "--trace", "x"))
        self.assertIn("both '-'", self.fails(2, "export", "m", "--csv", "-", "--markdown", "-"))
        for words in (("variants",), ("describe", "bn-3")):
            self.assertIn("--json", self.fails(2, *words, "--json", "missing/file"))

    def test_check_leaves_nothing_behind(self):
        before = sorted(os.listdir(self.folder))
        self.fails(3, "train", self.network, "--data", "missing", "--save", "m", "--json", "j")
        self.assertEqual(sorted(os.listdir(self.folder)), before)


class LostOutput(CliTest):
    def test_full_device(self):
        for words in (("--help",), ("--version",), ("variants",), ("describe", "bn-3"),
                      ("train", "--help"), ("describe", "bn-3", "--json", "-"),
                      ("train", self.network, "--steps", "0")):
            with self.subTest(words), open("/dev/full", "w") as full:
                self.fails(1, *words, stdout=full)

    def test_closed(self):
        # A file opened later must not take the place of the closed standard output.
        result = self.run_program("train", self.network, "--steps", "0", "--save", "model",
                                  stdout=None, preexec_fn=lambda: os.close(1))
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"\Aconvmark: cannot write [^\n]*\n\Z")
        self.succeed("train", self.network, "--steps", "0", "--load", "model")
        self.succeed("train", self.network, "--steps", "0", "--quiet", stdout=None,
                     preexec_fn=lambda: os.close(1))

    def test_reader_that_went_away(self):
        reader, writer = os.pipe()
        os.close(reader)
        # Exit code, not a signal; and the model is written all the same.
        text = self.fails(1, "train", self.network, "--steps", "0", "--save", "model",
                          stdout=writer)
        os.close(writer)
        self.assertIn("standard output", text)
        self.assertTrue(os.path.exists(self.path("model")))


if __name__ == "__main__":
    unittest.main()
