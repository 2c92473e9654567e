"""scripts/get-data.sh against a small server on this machine in place of the official address."""

import functools
import gzip
import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "get-data.sh"
PACKAGE = pathlib.Path("/usr/share/datasets/fashion-mnist")
FILES = ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz",
         "train-labels-idx1-ubyte.gz"]
TOOLS = ("bash", "basename", "dirname", "chmod", "gzip", "head", "mkdir", "mktemp", "mv", "rm",
         "sha256sum", "sync", "cat")
NO_SERVER = "http://127.0.0.1:1"  # nothing listens on port 1


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Says nothing of clients that hang up, as they do when a file is too long."""


class GetData(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="convmark-get-data-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.served = self.root / "served"
        self.served.mkdir()
        self.folder = self.root / "cache/convmark/fashion-mnist"

    def serve(self):
        server = Server(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(self.served)))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def serve_package(self):
        if not PACKAGE.is_dir():
            self.skipTest("needs the package dataset-fashion-mnist")
        for name in FILES:
            (self.served / name).symlink_to(PACKAGE / name)
        return self.serve()

    def path_with(self, *programs):
        """A PATH of the ordinary tools and these downloading programs only."""
        folder = self.root / "bin"
        folder.mkdir()
        for tool in TOOLS + programs:
            found = shutil.which(tool)
            if found is None:
                self.skipTest(f"needs {tool}")
            (folder / tool).symlink_to(found)
        return str(folder)

    def run_script(self, address, *arguments, **environment):
        return subprocess.run(
            [str(SCRIPT), *arguments], capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), "no_proxy": "127.0.0.1",
                 "XDG_CACHE_HOME": str(self.root / "cache"), "CONVMARK_DATA_URL": address,
                 **environment})

    def assert_complete(self, folder):
        self.assertEqual(sorted(os.listdir(folder)), FILES)
        for name in FILES:
            self.assertEqual((folder / name).read_bytes(), (PACKAGE / name).read_bytes())

    def assert_fails(self, done, *texts):
        self.assertEqual(done.returncode, 1, done.stderr)
        last = done.stderr.splitlines()[-1]
        for text in (*texts, "dataset-fashion-mnist"):
            self.assertIn(text, last)
        self.assertEqual(os.listdir(self.folder), [])  # nothing half-written

    def test_downloads_then_keeps_what_is_right(self):
        done = self.run_script(self.serve_package())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("downloaded: "), 4)
        self.assert_complete(self.folder)
        done = self.run_script(NO_SERVER)  # no network is needed now
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("already there: "), 4)

    def test_replaces_damaged_files_with_wget_into_a_named_folder(self):
        folder = self.root / "named"
        folder.mkdir()
        for name in FILES[:2]:
            (folder / name).write_bytes(b"damaged")
        done = self.run_script(self.serve_package(), str(folder), PATH=self.path_with("wget"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("downloaded: "), 4)
        self.assert_complete(folder)

    def test_refuses_wrong_content(self):
        address = self.serve()
        cases = {"not gzip": b"<html>hello</html>", "another file": gzip.compress(b"0" * 1000),
                 "cut off": gzip.compress(os.urandom(1000))[:-9]}
        for name, content in cases.items():
            with self.subTest(name):
                (self.served / "train-images-idx3-ubyte.gz").write_bytes(content)
                self.assert_fails(self.run_script(address), address, "damaged or not Fashion-MNIST")

    def test_refuses_endless_files(self):
        with open(self.served / "train-images-idx3-ubyte.gz", "wb") as file:
            file.truncate(60_000_000)
        for program in ("curl", "wget"):
            with self.subTest(program):
                done = self.run_script(self.serve(), PATH=self.path_with(program))
                self.assert_fails(done, "cannot download")
                shutil.rmtree(self.root / "bin")

    def test_missing_file_and_no_network(self):
        for address in (self.serve(), NO_SERVER):
            with self.subTest(address):
                self.assert_fails(self.run_script(address), f"cannot download {address}/train",
                                  "check the network", str(self.folder))

    def test_neither_curl_nor_wget(self):
        done = self.run_script(NO_SERVER, PATH=self.path_with())
        self.assert_fails(done, "cannot download")
        self.assertIn("needs curl or wget", done.stderr)

    def test_folder_that_cannot_be_made(self):
        (self.root / "cache").write_text("a file is in the way", encoding="ascii")
        done = self.run_script(NO_SERVER)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot make the folder", done.stderr)

    def test_relative_cache_variable_is_ignored(self):
        done = self.run_script(NO_SERVER, XDG_CACHE_HOME="cache")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{self.root}/.cache/convmark/fashion-mnist", done.stderr)

    def test_wrong_usage(self):
        for arguments in (["--unknown"], ["a", "b"]):
            done = self.run_script(NO_SERVER, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("usage: ", done.stderr)
        done = self.run_script(NO_SERVER, "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("usage: ", done.stdout)


if __name__ == "__main__":
    unittest.main()
