"""Export of a SavedModel that loads without this package."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf import preprocess
from training import export
from training.data import datasets
from training.exporting import saved_model
from training.io import cli
from training.io.user_error import UserError
from training.runs import run_model
from training.runs.run_folder import RunFolder
from training.tasks import video_export

LOAD_WITHOUT_US = """
import sys
for name in ("nonlocal_tf", "training", "keras"):
    sys.modules[name] = None  # makes any import of it fail
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
clips = tf.constant(np.load(sys.argv[2]))
outputs = model.signatures["serving_default"](clips=clips)
np.save(sys.argv[3], outputs["probabilities"].numpy())
"""


@pytest.fixture(scope="module")
def clips():
    dataset = datasets.load("digits_recall")
    return np.stack([dataset.example("test", i).pixels for i in range(3)])


@pytest.fixture(scope="module")
def expected(tiny, clips):
    """Probabilities of the Keras model."""
    model, *_ = run_model.load_trained(RunFolder(tiny[0]))
    logits = model(preprocess.normalize(clips), training=False)
    return tf.nn.softmax(logits).numpy()


def test_it_loads_without_this_package(tiny, clips, expected, tmp_path):
    np.save(tmp_path / "clips.npy", clips)
    subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_US, tiny[1]]
        + [tmp_path / "clips.npy", tmp_path / "probabilities.npy"],
        cwd=tmp_path,
        check=True,
    )
    probabilities = np.load(tmp_path / "probabilities.npy")
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_batch_size_is_free(tiny, clips, expected):
    loaded = tf.saved_model.load(str(tiny[1]))
    serve = loaded.signatures["serving_default"]
    for count in (1, 3):
        outputs = serve(clips=tf.constant(clips[:count]))
        np.testing.assert_allclose(
            outputs["probabilities"], expected[:count], atol=1e-5
        )


def test_class_name_is_that_of_the_largest_probability(tiny, clips, expected):
    loaded = tf.saved_model.load(str(tiny[1]))
    serve = loaded.signatures["serving_default"]
    names = serve(clips=tf.constant(clips))["class_name"].numpy()
    assert [int(name) for name in names] == expected.argmax(-1).tolist()


def test_class_names_are_an_asset(tiny):
    text = (tiny[1] / "assets" / "classes.txt").read_text()
    assert text.split() == list("0123456789")


def test_recipe_and_result_are_assets(tiny):
    run, exported = tiny
    recipe = (exported / "assets" / "recipe.json").read_text()
    assert recipe == (run / "recipe.json").read_text()
    source = json.loads((exported / "assets.extra/source.json").read_text())
    assert source["result"]["recipe"] == "digits_nl"


def test_the_same_weights_are_exported_once(tiny):
    run, exported = tiny
    assert video_export.export_run(RunFolder(run), exported.parent) == exported
    assert saved_model.versions(exported.parent) == [exported]


@pytest.mark.full
def test_after_a_version_of_unknown_weights_is_the_next(tiny, tmp_path):
    shutil.copytree(tiny[1], tmp_path / "9")
    (tmp_path / "9" / "assets.extra" / "source.json").write_text("{")
    path = video_export.export_run(RunFolder(tiny[0]), tmp_path)
    assert path == tmp_path / "10"


@pytest.mark.full
def test_weights_of_an_older_version_get_a_new_version(tiny, tmp_path):
    run = RunFolder(tiny[0])
    other = RunFolder(shutil.copytree(tiny[0], tmp_path / "run"))
    shutil.rmtree(other.checkpoints / "epoch_0002")  # other weights remain
    names = [
        video_export.export_run(r, tmp_path).name for r in (run, other, run)
    ]
    assert names == ["1", "2", "3"]


def test_versions_of_another_recipe_are_not_replaced(tiny, capsys):
    stage, out = tiny[0] / "image_stage", tiny[1].parent
    code = cli.run(export.main, [f"--workdir={stage}", f"--out={out}"])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1
    assert "holds versions of recipe 'digits_nl', not 'digits_image'" in error
    assert [p.name for p in saved_model.versions(out)] == ["1"]


def test_versions_of_another_recipe_exported_meanwhile_are_kept(
    tiny, tmp_path, monkeypatch
):
    load = run_model.load_trained

    def slow(run):
        shutil.copytree(tiny[1], tmp_path / "1")  # another process exported
        return load(run)

    monkeypatch.setattr(run_model, "load_trained", slow)
    with pytest.raises(UserError, match="holds versions of recipe"):
        video_export.export_run(RunFolder(tiny[0] / "image_stage"), tmp_path)
    assert [p.name for p in saved_model.versions(tmp_path)] == ["1"]


def test_an_image_network_is_exported(tiny, tmp_path):
    path = video_export.export_run(RunFolder(tiny[0] / "image_stage"), tmp_path)
    loaded = tf.saved_model.load(str(path))
    images = tf.zeros((2, 32, 32, 3), tf.uint8)
    outputs = loaded.signatures["serving_default"](images=images)
    assert outputs["probabilities"].shape == (2, 60)


def test_a_failed_export_leaves_no_files(tiny, tmp_path, monkeypatch):
    def full_disk(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    with pytest.raises(UserError, match="No space left"):
        video_export.export_run(RunFolder(tiny[0]), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".lock"]


def test_a_folder_without_a_run_is_a_one_line_error(tmp_path, capsys):
    code = cli.run(
        export.main, [f"--workdir={tmp_path}", f"--out={tmp_path / 'out'}"]
    )
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1
    assert "not a run folder" in error
    assert not (tmp_path / "out").exists()


def test_missing_options_are_an_error(tiny, capsys):
    assert cli.run(export.main, [f"--workdir={tiny[0]}"]) == 2
    assert "Give --out DIR" in capsys.readouterr().err


def test_the_command_prints_path_and_serving_example(tiny, capsys):
    out = tiny[1].parent
    export.main([f"--workdir={tiny[0]}", f"--out={out}"])
    printed = capsys.readouterr().out
    assert str(out / "1") in printed
    assert f"nonlocal-tf serve_config --model {out}\n" in printed


def test_a_model_card_of_the_user_is_kept(tiny, tmp_path, capsys):
    (tmp_path / "README.md").write_text("theirs")
    path = video_export.export_run(RunFolder(tiny[0]), tmp_path)
    assert (tmp_path / "README.md").read_text() == "theirs"
    assert "README.md is not a card of a version" in capsys.readouterr().out
    assert (path / "README.md").is_file()
    (tmp_path / "README.md").unlink()
    for _ in range(2):
        video_export.export_run(RunFolder(tiny[0]), tmp_path)
    card = (path / "README.md").read_bytes()
    assert (tmp_path / "README.md").read_bytes() == card
