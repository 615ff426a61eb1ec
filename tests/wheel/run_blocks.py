"""Run blocks of the documentation in one process, with the installed package.

The argument is a JSON file of blocks, which run in this folder. Nothing of the
clone is imported.
"""

import contextlib
import gc
import json
import os
import pathlib
import re
import sys
import time

from nonlocal_tf_start import prepare

prepare()

import numpy as np  # noqa: E402

import nonlocal_tf as nl  # noqa: E402
from nonlocal_tf.training import __main__ as command_line  # noqa: E402
from nonlocal_tf.training.data import generated  # noqa: E402

PUBLISHED = {
    "i3d_nonlocal_8x8_IN_pretrain_400k.pkl": ("i3d_nl5_r50", {}),
    "I3D_NLN_8x8_R50.pkl": ("i3d_nl5_r50", {"stem": "slowfast"}),
    "i3d.pkl": ("i3d_r50", {}),
}


def main(path: str) -> None:
    generated.EVAL_BLOCKS = 1  # as in tests/training/conftest.py
    for file, (name, arguments) in PUBLISHED.items():
        model = nl.create_model(name, sampling="8x8", **arguments)
        nl.save_weights(model, file)
    cache = pathlib.Path("keras").absolute()
    os.environ["KERAS_HOME"] = str(cache)
    for row in nl.list_weights():
        if row.file in PUBLISHED:  # as if downloaded before
            place = cache / "nonlocal_tf" / row.source / row.file
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(row.file, place)
    document, names = "", {}
    for block in json.loads(pathlib.Path(path).read_text("utf-8")):
        print(f"--- {block['place']}", flush=True)
        start = time.monotonic()
        if document != block["place"].split(":")[0]:
            document = block["place"].split(":")[0]
            # The networks of all documents together would take gigabytes.
            names = {"image": np.zeros((11, 13, 3), "uint8")}
            gc.collect()
        if re.match(r"# \w+\.py\n", block.get("code", "")):
            name = block["code"].split()[1]
            pathlib.Path(name).write_text(block["code"], "utf-8")
        elif "code" in block:
            exec(compile(block["code"], block["place"], "exec"), names)
        for words in block.get("commands", ()):
            run(words)
        print(f"--- {time.monotonic() - start:.0f} s", flush=True)


def run(words: list[str]) -> None:
    """Run a command as typed; it has to end with exit code 0."""
    print("$", *words, flush=True)
    with contextlib.ExitStack() as stack:
        if ">" in words:
            *words, _, file = words
            output = stack.enter_context(open(file, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(output))
        sys.argv = words
        code = command_line.main()
    assert code == 0, f"{words} ended with exit code {code}"


if __name__ == "__main__":
    main(sys.argv[1])
