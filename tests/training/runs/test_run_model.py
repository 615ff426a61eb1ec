"""Start weights of a network, and its layers that stay new."""

import dataclasses
import functools

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf import models
from nonlocal_tf.checkpoints.write import to_arrays
from nonlocal_tf.models import backbones, video_resnet
from tests.checkpoints import checkpoint_files
from tests.models.tiny import tiny
from tests.training import view_runs
from tests.training.view_runs import shallow  # noqa: F401, a fixture
from training.data import datasets
from training.io.user_error import UserError
from training.recipes import RECIPES, get_recipe
from training.recipes.schema import ModelConfig
from training.runs import run_model

BASELINE = "shallow_baseline_r50"
HEAD = {"logits/kernel", "logits/bias"}


@pytest.fixture(scope="module")
def short_clips(shallow, tmp_path_factory):  # noqa: F811
    """A run of the network without blocks, on short clips."""
    spec = backbones.resnet_config("i3d", (1, 1, 1, 1))
    builder = functools.partial(video_resnet.video_resnet, spec, name=BASELINE)
    root = tmp_path_factory.mktemp("short")
    videos = [("train", 3, 5), ("test", 4, 5)]
    data, _ = view_runs.write_lists(root / "data", videos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.registry.MODELS, BASELINE, builder)
        config = ModelConfig(BASELINE, sampling="8x8", width=4)
        sampling = view_runs.sampled(32, frames=4)
        yield view_runs.make_run(root / "run", data, sampling, config)


def long_clips(shallow, run, start, weights):  # noqa: F811
    """The recipe of the network with blocks on long clips, and its model."""
    recipe = run.read_recipe()
    recipe = dataclasses.replace(
        recipe,
        model=dataclasses.replace(
            shallow,
            sampling="32x4",
            norm="affine",
            start=start,
            weights=str(weights),
        ),
        sampling=view_runs.sampled(32, frames=16),
    )
    return recipe, run_model.build_model(
        recipe, datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    )


def values(model):
    return {v.path: np.array(v) for v in model.weights}


@pytest.mark.parametrize(
    ("source", "head"),
    [("run", "logits/kernel, logits/bias"), ("caffe2", "pred_w, pred_b")],
)
def test_long_clips_start_with_a_new_classifier(
    shallow,  # noqa: F811
    short_clips,
    source,
    head,
    tmp_path,
):
    trained, *_ = run_model.load_trained(short_clips)
    path = short_clips.path
    if source == "caffe2":
        path = tmp_path / "trained.pkl"
        nl.save_weights(trained, str(path), format=source)
    recipe, model = long_clips(shallow, short_clips, "short clips", path)
    before, theirs = values(model), values(trained)
    report, _ = run_model.start_from_weights(model, recipe)
    after = values(model)
    new = {k for k in after if np.array_equal(after[k], before[k])}
    blocks = {k for k in after if "_nonlocal" in k}
    assert new == HEAD | blocks
    kernels = [k for k in after if k in theirs and k not in HEAD]
    assert len(kernels) > 15
    for name in kernels:
        np.testing.assert_array_equal(after[name], theirs[name])
    assert "the classifier is new" in report
    assert f"unused 2: {head}" in report


def test_a_classifier_of_as_many_images_is_not_taken(shallow, short_clips):  # noqa: F811
    recipe, model = long_clips(
        shallow, short_clips, "imagenet", short_clips.path
    )
    before = values(model)
    report, _ = run_model.start_from_weights(model, recipe)
    for name in HEAD:
        np.testing.assert_array_equal(values(model)[name], before[name])
    assert "the classifier is new" in report


def test_the_same_network_keeps_its_classifier(shallow, short_clips):  # noqa: F811
    trained, *_ = run_model.load_trained(short_clips)
    recipe, model = long_clips(
        shallow, short_clips, "kinetics", short_clips.path
    )
    report, _ = run_model.start_from_weights(model, recipe)
    kernel = values(trained)["logits/kernel"]
    np.testing.assert_array_equal(values(model)["logits/kernel"], kernel)
    assert "the classifier is new" not in report


def test_a_report_names_the_run_that_it_starts_from(shallow, short_clips):  # noqa: F811
    recipe, model = long_clips(
        shallow, short_clips, "kinetics", short_clips.path
    )
    report, _ = run_model.start_from_weights(model, recipe)
    assert report.startswith(f"{short_clips.path} (nonlocal_tf): ")


def test_an_error_of_a_file_says_what_its_user_can_do(
    shallow,  # noqa: F811
    short_clips,
    tmp_path,
):
    arrays = to_arrays(tiny("c2d_r50"), "caffe2")
    path = checkpoint_files.write(tmp_path / "other.pkl", "caffe2", arrays)
    recipe, model = long_clips(shallow, short_clips, "kinetics", path)
    with pytest.raises(UserError) as caught:
        run_model.start_from_weights(model, recipe)
    message = str(caught.value)
    assert message.startswith(f"model.weights: {path} does not fit the model")
    assert "--set model.name=c2d_r50" in message
    assert "create_model" not in message


def test_an_error_of_a_run_names_the_run(shallow, short_clips):  # noqa: F811
    recipe, _ = long_clips(shallow, short_clips, "kinetics", short_clips.path)
    wider = dataclasses.replace(shallow, sampling="8x8", width=5)
    wider = dataclasses.replace(recipe, model=wider)
    other = run_model.build_model(
        wider, datasets.load(wider.dataset, wider.data, wider.sampling)
    )
    with pytest.raises(UserError) as caught:
        run_model.start_from_weights(other, recipe)
    assert f"model.weights: {short_clips.path}: " in str(caught.value)


def test_recipes_of_long_clips_say_that_their_classifier_is_new():
    long = {n for n in RECIPES if n.startswith("k400")}
    long = {n for n in long if n.endswith(("_32x4", "_128x1"))}
    assert len(long) == 8
    for name in long:
        assert get_recipe(name).model.start == "short clips"
        assert "classifier is new" in RECIPES[name].__doc__


def test_equal_weights_have_one_digest():
    first, other = (
        nl.create_model("c2d_small", num_classes=3) for _ in range(2)
    )
    digest = run_model.weights_digest(first)
    assert digest != run_model.weights_digest(other)
    other.set_weights(first.get_weights())
    assert digest == run_model.weights_digest(other)
