import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]


def test_commands_start_without_notes_on_how_tensorflow_was_built():
    result = subprocess.run(
        [sys.executable, "-c", "import training; print('started')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "started\n"
    assert result.stderr == ""


def test_what_is_printed_besides_is_printed():
    code = (
        "import os, sys, types\n"
        "class Fake:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'tensorflow':\n"
        "            os.write(2, b'oneDNN custom operations are on\\n')\n"
        "            os.write(2, b'something is wrong\\n')\n"
        "            raise ImportError('no tensorflow')\n"
        "sys.meta_path.insert(0, Fake())\n"
        "import training\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "something is wrong" in result.stderr
    assert "oneDNN" not in result.stderr
    assert "no tensorflow" in result.stderr
