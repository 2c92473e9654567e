"""scripts/ci/check_rules.py finds each breach that it is there for, and nothing in a clean tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "ci" / "check_rules.py"
GOOD_HEADER = '/** What. */\n#ifndef A_H\n#define A_H\nextern "C" {\nint cm_a(void);\n}\n#endif\n'
INSTALL = "set(CM_PUBLIC_HEADERS\n    include/convmark/convmark.h\n    include/convmark/a.h)\n"
PUBLIC = '/** All. */\n#ifndef C_H\n#define C_H\n#include "convmark/a.h"\n#endif\n'


class Rules(unittest.TestCase):
    def check(self, files):
        """Exit code and lines of the script on a tree of these files and a clean rest."""
        tree = {"include/convmark/a.h": GOOD_HEADER, "include/convmark/convmark.h": PUBLIC,
                "cmake/install.cmake": INSTALL, **files}
        with tempfile.TemporaryDirectory() as folder:
            for name, text in tree.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, str(SCRIPT), folder], capture_output=True,
                                  text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def assert_breach(self, name, text, line, what):
        code, lines = self.check({name: text})
        self.assertEqual(code, 1)
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(f"{name}:{line}: "), lines)
        self.assertIn(what, lines[0])

    def test_clean_tree(self):
        self.assertEqual(self.check({"src/a.c": "int cm_a;\n" * 600}), (0, []))

    def test_too_many_lines(self):
        self.assert_breach("src/a.c", "int cm_a;\n" * 601, 601, "601 lines")

    def test_too_wide(self):
        self.assert_breach("src/a.c", "\n/* " + "x" * 98 + "\n", 2, "101 columns")

    def test_unfinished(self):
        self.assert_breach("src/a.c", "/* TO" "DO */\n", 1, "unfinished")

    def test_bare_jansson(self):
        for call in ("json_object_set_new(o, \"a\", b);", "json_array_append_new(a, b);",
                     "json_loadb(text, 1, 0, &e);", "json_unpack (a, \"s\", &b);"):
            self.assert_breach("src/harness/a.c", f"    {call}\n", 1, "core/files/json.h")
            self.assertEqual(self.check({"src/core/files/json.c": f"    {call}\n",
                                         "tests/core/test_a.c": f"    {call}\n"}), (0, []))

    def test_text_that_is_printed_as_it_is(self):
        for call in ('printf("%s;", network->name);',
                     'fprintf(out, "%s %s", CM_SHOW(a.b), a.path);',
                     "fputs(runs[i].failure,\n          out);"):
            self.assert_breach("src/cli/a.c", f"\n    {call}\n", 2, "core/escape.h")
            self.assertEqual(self.check({"src/core/a.c": f"    {call}\n"}), (0, []))
        for call in ('printf("%s", CM_SHOW(f(network)->name));', 'printf("a->name");',
                     'fprintf(out, "%s", option->name);',
                     'snprintf(cells[0], 8, "%s", network->name);'):
            self.assertEqual(self.check({"src/cli/a.c": f"    {call}\n"}), (0, []))

    def test_scripts_that_the_users_folder_misleads(self):
        self.assert_breach("scripts/a.sh", 'cd "$ROOT" || exit 1\n', 1, "CDPATH= cd --")
        self.assert_breach("scripts/a.sh", '"$python" -c "import a"\n', 1, "python3 -I -c")
        self.assertEqual(self.check({"scripts/a.sh": 'CDPATH= cd -- "$ROOT"\n# cd x\n'
                                                     '"$python" -I -c "import a"\n'}), (0, []))

    def test_tab(self):
        self.assert_breach("src/a.c", "\tint a;\n", 1, "tab")

    def test_trailing_space(self):
        self.assert_breach("scripts/a.sh", "true \n", 1, "space")

    def test_no_final_newline(self):
        self.assert_breach("src/a.c", "int cm_a;", 1, "newline")

    def test_fast_math(self):
        for name in ("cmake/a.cmake", "CMakeLists.txt", "src/CMakeLists.txt", "CMakePresets.json"):
            self.assert_breach(name, "set(F -ffast" "-math)\n", 1, "numeric contract")
        self.assertEqual(self.check({"CMakeLists.txt": "-fno-fast" "-math\n"}), (0, []))

    def test_openmp_reduction(self):
        self.assert_breach("kernels/a.c", "#pragma omp for reduction(+ : sum)\n", 1, "order")

    def test_estimate(self):
        self.assert_breach("kernels/a.c", "y = _mm256_rsqrt_ps(x);\n", 1, "estimate")

    def test_header_without_comment(self):
        self.assert_breach("src/b.h", "#ifndef B_H\n#define B_H\n#endif\n", 1, "comment")

    def test_header_without_guard(self):
        self.assert_breach("src/b.h", "/* What. */\nint cm_b;\n", 1, "guard")

    def test_public_header_not_for_cpp(self):
        header = GOOD_HEADER.replace('extern "C" {\n', "").replace(");\n}", ");")
        self.assert_breach("include/convmark/a.h", header, 1, 'extern "C"')

    def test_public_header_not_installed(self):
        install = INSTALL.replace("include/convmark/a.h", "x")
        code, lines = self.check({"cmake/install.cmake": install})
        self.assertEqual(code, 1)
        self.assertEqual(len(lines), 1)
        self.assertIn("include/convmark/a.h:1: included by convmark.h but not installed", lines[0])


if __name__ == "__main__":
    unittest.main()
