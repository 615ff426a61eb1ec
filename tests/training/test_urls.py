"""Commands on URLs, in memory; tests/io has s3:// and http://."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from tests.training.conftest import TINY
from tests.training.data import fixtures, small_datasets
from training import predict, report, train
from training.data import datasets
from training.exporting.saved_model import SavedModel
from training.io import paths
from training.loop import checkpointing
from training.recipes import get_recipe
from training.runs import run_model
from training.runs.run_folder import RunFolder


@dataclasses.dataclass
class Trained:
    """A run and its SavedModel in memory, and the order of the uploads."""

    folder: paths.UrlPath
    uploads: list[paths.UrlPath]

    @property
    def run(self):
        return RunFolder(self.folder / "run")


@pytest.fixture(scope="module")
def trained():
    pytest.importorskip("fsspec")
    folder = paths.as_path("memory://trained")
    uploads, upload = [], paths.UrlPath.upload

    def record(self, source):
        uploads.append(self)
        upload(self, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths.UrlPath, "upload", record)
        train.main(
            [
                "--recipe=digits_image",
                f"--workdir={folder / 'run'}",
                f"--export={folder / 'model'}",
                "--verbose=0",
                *TINY[:4],
            ]
        )
    return Trained(folder, uploads)


def copy(source, target):
    for file in source.files():
        name = str(file).removeprefix(f"{source}/")
        (target / name).write_bytes(file.read_bytes())


def variables(run):
    checkpoint = checkpointing.latest(run.checkpoints)
    return checkpointing.read_arrays(checkpoint, "variable")


def test_run_folder_is_complete(trained):
    names = {path.name for path in trained.run.path.iterdir()}
    assert names >= {"recipe.json", "metrics.csv", "result.json", "checkpoints"}
    assert json.loads(trained.run.result_path.read_text())["examples"]
    assert not [p for p in trained.run.path.files() if "unfinished" in str(p)]


def test_tensorboard_events_are_uploaded(trained):
    pytest.importorskip("tensorboard")
    events = list((trained.run.path / "tensorboard" / "train").iterdir())
    assert len(events) == 1 and events[0].stat().st_size > 100


def test_interrupted_run_resumes_exactly(trained, memory_url, capsys):
    run = RunFolder(memory_url)
    copy(trained.run.path, run.path)
    (run.checkpoints / "epoch_0002").rmtree()
    run.result_path.unlink()
    train.main([f"--workdir={memory_url}", "--verbose=0"])
    assert "after 2 of 4 steps" in capsys.readouterr().out
    for a, b in zip(variables(run), variables(trained.run), strict=True):
        np.testing.assert_array_equal(a, b)


def test_exports_upload_the_graph_last(trained):
    version = trained.folder / "model" / "1"
    uploads = [path for path in trained.uploads if path.parent == version]
    model = [p for p in trained.uploads if str(version) in str(p)]
    assert model[-1] == uploads[-1] == version / "saved_model.pb"


def test_clip_and_model_at_a_url_are_predicted(trained, memory_url, capsys):
    clip = paths.UrlPath(memory_url) / "clip.npy"
    model = f"--model={trained.folder / 'model'}"
    predict.main([model, "--sample=3", f"--save-clip={clip}"])
    predict.main([model, str(clip)])
    sample, read = capsys.readouterr().out.split("probability\n")[1:]
    assert sample.startswith(read)


def test_saved_model_at_a_url_equals_its_local_copy(trained, tmp_path):
    remote = SavedModel(trained.folder / "model")
    for file in remote.path.files():
        target = tmp_path / str(file).removeprefix(f"{remote.path}/")
        target.parent.mkdir(exist_ok=True)
        file.download(target)
    local = SavedModel(tmp_path)
    assert remote.classes == local.classes
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")
    np.testing.assert_array_equal(
        remote.probabilities(pixels), local.probabilities(pixels)
    )


def test_weights_at_a_url_start_a_run(trained, memory_url, tmp_path):
    network, *_ = run_model.load_trained(trained.run)
    network.save(tmp_path / "w.keras")
    url = paths.UrlPath(memory_url) / "w.keras"
    url.upload(tmp_path / "w.keras")
    recipe = get_recipe("digits_image")
    config = dataclasses.replace(recipe.model, weights=str(url))
    recipe = dataclasses.replace(recipe, model=config)
    model = run_model.build_model(recipe, datasets.load(recipe.dataset))
    report_text, sources = run_model.start_from_weights(model, recipe)
    for a, b in zip(model.weights, network.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert report_text.startswith(f"{url} (") and sources[0].file == "w.keras"


def test_report_is_written_into_the_run(trained):
    pytest.importorskip("matplotlib")
    report.main([f"--workdir={trained.run.path}"])
    text = (trained.run.path / "report.md").read_text()
    assert text.startswith("# digits_image")


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("name", ["folder", "slowfast"])
def test_videos_and_lists_at_a_url_equal_local_ones(name, memory_url, tmp_path):
    data = fixtures.make(
        name,
        tmp_path,
        small_datasets.write_video,
        small_datasets.write_frames,
    )
    for file in filter(pathlib.Path.is_file, tmp_path.rglob("*")):
        name_below = file.relative_to(tmp_path).as_posix()
        (paths.UrlPath(memory_url) / name_below).upload(file)
    urls = {
        key: value.replace(str(tmp_path), memory_url)
        for key, value in vars(data).items()
        if isinstance(value, str)
    }
    batches = []
    for config in (data, dataclasses.replace(data, **urls)):
        dataset = datasets.load(name, config, small_datasets.SMALL)
        assert dataset.bad == []
        train_batches = dataset.train_batches(2, 3, 0, 2)
        batches.append(small_datasets.as_arrays(train_batches))
    small_datasets.assert_equal(*batches)
