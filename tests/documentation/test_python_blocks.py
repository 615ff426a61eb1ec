"""Python blocks of the documents run, with mocks of files and servers.

Those of README and the guide run with the installed wheel too, without mocks
(tests/wheel); blocks that read videos and train run there alone.
"""

import ast
import dataclasses
import inspect
import io
import re
import types
import urllib.request
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import nonlocal_tf as nl
from nonlocal_tf import detection, pretrained
from nonlocal_tf.models import video_resnet
from tests.documentation import snippets

SIGNATURES = ("serving_default", "serve_frames", "features", "attention")
# Blocks that read videos and train.
TRAINS = re.compile(r"nonlocal_tf\.training|\bvideos\b|tf\.distribute")
BLOCKS = {
    name: blocks
    for name, text in snippets.documents()
    if (blocks := snippets.fences(name, text, "python"))
}


def from_checkpoint(path, **arguments):
    """Check the arguments of `from_checkpoint` without a file."""
    parameters = inspect.signature(video_resnet.video_resnet).parameters
    assert set(arguments) <= set(parameters), arguments
    return mock.create_autospec(nl.summary), "report"


def of_file(row, path, arguments):
    """Build the network of published weights without the file."""
    return nl.models.create_model(row.network, **row.arguments, **arguments)


def saved_model(path):
    """Make a fake SavedModel with the signatures of an export."""
    answer = mock.MagicMock()
    return types.SimpleNamespace(signatures=dict.fromkeys(SIGNATURES, answer))


@pytest.fixture
def stand_ins(monkeypatch, tmp_path):
    """Mock files, servers and large networks, with their signatures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(snippets.ROOT / "savedmodels" / "clients")
    import serving_client

    (tmp_path / "photo.jpg").write_bytes(b"JPEG")
    fields = {f.name: None for f in dataclasses.fields(detection.Detections)}
    found = types.SimpleNamespace(**fields)
    detector = types.SimpleNamespace(detect=lambda image: found)
    for place, name, answer in (
        (nl, "load_weights", "report"),
        (detection, "from_checkpoint", (detector, "report", detection.RGB)),
        (detection, "MaskRCNN", "model"),
        (serving_client, "connect", mock.MagicMock()),
    ):
        stub = mock.create_autospec(getattr(place, name), return_value=answer)
        monkeypatch.setattr(place, name, stub)
    monkeypatch.setattr(nl, "from_checkpoint", from_checkpoint)
    monkeypatch.setattr(pretrained.create, "download_weights", mock.Mock())
    monkeypatch.setattr(pretrained.create, "_of_file", of_file)
    monkeypatch.setattr(tf.saved_model, "load", saved_model)
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda *_: io.BytesIO(b'{"outputs": {}}')
    )


@pytest.mark.parametrize("name", BLOCKS)
def test_they_run(name, stand_ins, capsys):
    image = np.zeros((11, 13, 3), "uint8")
    names: dict = {"image": image}  # a block may use what one before it made
    for block in BLOCKS[name]:
        tree = ast.parse(block.text, block.place)
        if TRAINS.search(block.text):
            tree.body = [node for node in tree.body if is_import(node)]
        exec(compile(tree, block.place, "exec"), names)


def is_import(node):
    """Return True for an import that loads none of `nonlocal_tf.training`."""
    if isinstance(node, ast.ImportFrom):
        return not str(node.module).startswith("nonlocal_tf.training")
    return isinstance(node, ast.Import)


def test_examples_in_docstrings_are_python():
    for path in snippets.ROOT.glob("nonlocal_tf/**/*.py"):
        for text in snippets.docstrings(path):
            _, _, example = text.text.partition("Example:\n")
            if example and ">>>" not in example:
                ast.parse(inspect.cleandoc(example))
