"""Selection of state dicts: any key and prefix, averaged weights first."""

import numpy as np
import pytest

from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.read import read_checkpoint
from nonlocal_tf.checkpoints.readers import pytorch
from tests.checkpoints import corruptions

NAMES = tuple(corruptions.TENSORS)


def tensors(value=1.0, prefix=""):
    """Return a state dict with the markers of torchvision."""
    return {f"{prefix}{n}": np.full((3, 2), value, "f4") for n in NAMES}


def read_saved(tmp_path, saved):
    path = tmp_path / "a.pth"
    with open(path, "wb") as file:
        pytorch.write(file, saved)
    return read_checkpoint(path)


def nested(keys, value):
    for key in reversed(keys):
        value = {key: value, "epoch": 3}
    return value


@pytest.mark.parametrize(
    "keys",
    [
        *([], ["model_state_dict"], ["net"], ["params"], ["generator"]),
        *(["checkpoint", "model"], ["models", "video", "weights"]),
    ],
)
def test_a_single_state_dict_has_any_key(keys, tmp_path):
    saved = {"optimizer": {"state": {0: tensors()}}}
    saved |= nested(keys, tensors())
    if not keys:
        saved = tensors()
    checkpoint = read_saved(tmp_path, saved)
    assert tuple(checkpoint.arrays) == NAMES
    assert checkpoint.selected == ""


@pytest.mark.parametrize(
    "prefix",
    [
        *("_orig_mod.", "module.", "model.", "net.encoder.", "a.b.c."),
        *("module._orig_mod.", "_orig_mod.module.model."),
        "_fsdp_wrapped_module.",
    ],
)
def test_a_common_prefix_is_stripped(prefix, tmp_path):
    saved = {"state_dict": tensors(prefix=prefix)}
    assert tuple(read_saved(tmp_path, saved).arrays) == NAMES


def test_wrappers_within_a_network_are_stripped(tmp_path):
    saved = tensors()
    saved["layer1.0._orig_mod.conv1.weight"] = saved.pop(NAMES[1])
    assert NAMES[1] in read_saved(tmp_path, saved).arrays


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [
        ("state_dict", "state_dict_ema"),
        ("model", "model_ema"),
        ("student", "teacher"),
        ("net", "ema"),
        ("params", "params_ema"),
        ("model", "swa_model"),
        ("model", "modelEma"),
        ("model", "ModelEMA"),
        ("model", "EMAModel"),
        ("model", "emamodel"),
        ("model", "modelema"),
        ("model", "emaStateDict"),
        ("model", "shadow_params"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_averaged_weights_are_selected_and_reported(
    plain, averaged, is_first, tmp_path
):
    saved = {plain: tensors(1.0), averaged: tensors(2.0)}
    saved = saved if is_first else dict(reversed(saved.items()))
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    expected = f"{averaged!r} (averaged weights), not of {plain!r}"
    assert checkpoint.selected == expected


@pytest.mark.parametrize("key", ["schema", "cinema", "avgpool", "emanation"])
def test_words_that_contain_ema_or_avg_are_no_average(key, tmp_path):
    saved = {key: tensors(1.0), "model": tensors(2.0)}
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0


@pytest.mark.parametrize(
    "key",
    ["optimized_model", "optim_best", "schedulefree_weights", "scheduled"],
)
def test_words_that_contain_optim_or_sched_are_networks(key, tmp_path):
    checkpoint = read_saved(tmp_path, {key: tensors(), "epoch": 3})
    assert tuple(checkpoint.arrays) == NAMES


@pytest.mark.parametrize(
    "key",
    [
        *("optimizer", "optim", "optimizers", "optimizerState", "lr_scheduler"),
        *("optimizer_state_dict", "optimizer_g", "d_optimizer", "sched"),
        *("optim_best", "optimizer.exp_avg"),
    ],
)
def test_optimizer_states_are_skipped(key, tmp_path):
    saved = {**nested(key.split("."), tensors(1.0)), "other": tensors(2.0)}
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0


@pytest.mark.parametrize("key", ["optimizer", "optimizer_g", "lrScheduler"])
def test_an_optimizer_state_alone_is_refused(key, tmp_path):
    with pytest.raises(CheckpointError, match="Received 0 arrays"):
        read_saved(tmp_path, {key: {"exp_avg": tensors()}})


def test_counters_of_averages_are_ignored(tmp_path):
    average = {"n_averaged": 7, **tensors(2.0, "module.")}
    checkpoint = read_saved(tmp_path, {"model_ema": average})
    assert checkpoint.ignored == ("n_averaged",)
    assert tuple(checkpoint.arrays) == NAMES


def test_mmengine_swaps_the_average_and_the_network(tmp_path):
    raw = {"steps": 7, **tensors(1.0, "module.")}
    saved = {"state_dict": tensors(2.0), "ema_state_dict": raw}
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert checkpoint.selected.endswith("not of 'ema_state_dict'")


def test_raw_weights_of_mmcv_are_ignored(tmp_path):
    raw = {f"ema_{n.replace('.', '_')}": a for n, a in tensors(1.0).items()}
    checkpoint = read_saved(tmp_path, {"state_dict": {**tensors(2.0), **raw}})
    assert checkpoint.ignored == tuple(raw)
    assert tuple(checkpoint.arrays) == NAMES


def test_an_average_in_the_same_dictionary_is_selected(tmp_path):
    saved = {**tensors(1.0, "model."), **tensors(2.0, "ema_model.module.")}
    checkpoint = read_saved(tmp_path, {"state_dict": saved})
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert "'state_dict.ema_model' (averaged" in checkpoint.selected


def test_a_prefix_of_averaged_weights_is_reported(tmp_path):
    saved = tensors(prefix="ema_model.module.")
    checkpoint = read_saved(tmp_path, saved)
    assert tuple(checkpoint.arrays) == NAMES
    assert checkpoint.selected == "'ema_model' (averaged weights)"


def network(value=1.0, prefix=""):
    """Return a state dict of ten arrays, most of those in a file."""
    blocks = {
        f"{prefix}layer1.{i}.conv2.weight": np.full((3, 2), value, "f4")
        for i in range(7)
    }
    return {**tensors(value, prefix), **blocks}


def extras(*names):
    return {name: np.ones(5, "f4") for name in names}


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("model.", ["criterion.weight"]),
        ("net.", ["val_acc.tp", "loss_fn.pos_weight", "temperature"]),
        ("module.model.net.", ["module.model.loss.weight"]),
        ("a.net.", ["a.loss.weight"]),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_few_arrays_beside_a_network_are_ignored(
    prefix, names, is_first, tmp_path
):
    saved = {**network(prefix=prefix), **extras(*names)}
    saved = saved if is_first else dict(reversed(saved.items()))
    checkpoint = read_saved(tmp_path, {"state_dict": saved})
    assert set(checkpoint.arrays) == set(network())
    assert sorted(checkpoint.ignored) == sorted(names)
    assert checkpoint.selected == ""


def test_an_average_beside_a_few_arrays_is_selected(tmp_path):
    saved = {
        **network(1.0, "model."),
        **network(2.0, "ema_model."),
        **extras("criterion.weight"),
    }
    checkpoint = read_saved(tmp_path, {"state_dict": saved})
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert checkpoint.ignored == ("criterion.weight",)
    assert checkpoint.selected.endswith("not of 'state_dict.model'")


def test_a_network_beside_many_arrays_is_refused(tmp_path):
    saved = {
        **network(prefix="backbone."),
        **extras(*(f"decoder.{i}.weight" for i in range(13))),
    }
    message = r"10 arrays of the file, 'backbone'.*'decoder\.' \(13 arrays\)"
    with pytest.raises(CheckpointError, match=message):
        read_saved(tmp_path, saved)


def test_two_networks_of_one_dictionary_are_ambiguous(tmp_path):
    saved = {
        **network(1.0, "encoder_q."),
        **network(2.0, "encoder_k."),
        **extras("queue"),
    }
    message = r"encoder_q' \(10 arrays\), 'state_dict.encoder_k' \(10 arr"
    with pytest.raises(CheckpointError, match=message):
        read_saved(tmp_path, {"state_dict": saved})


def test_usual_prefixes_are_preferred(tmp_path):
    saved = {**network(1.0, "generator."), **network(2.0, "model.")}
    checkpoint = read_saved(tmp_path, {"state_dict": saved})
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert checkpoint.selected.endswith("not of 'state_dict.generator'")


def test_usual_keys_are_preferred(tmp_path):
    saved = {"generator": tensors(1.0), "state_dict": tensors(2.0)}
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert checkpoint.selected == "'state_dict', not of 'generator'"


def test_several_unusual_keys_are_ambiguous(tmp_path):
    saved = {"first": tensors(), "second": tensors()}
    with pytest.raises(CheckpointError, match=r"'first' \(3 arrays\), 'second"):
        read_saved(tmp_path, saved)


def test_an_error_lists_the_keys_of_the_file(tmp_path):
    saved = {"epoch": 3, "autoencoder": {"a": np.zeros(3, "f4")}, "lr": 0.1}
    with pytest.raises(CheckpointError, match="'epoch', 'autoencoder', 'lr'"):
        read_saved(tmp_path, saved)


def test_a_long_common_prefix_is_not_stripped_endlessly(tmp_path):
    prefix = "a." * 100_000
    with pytest.raises(CheckpointError, match="residual network") as caught:
        read_saved(tmp_path, {f"{prefix}{n}": a for n, a in tensors().items()})
    assert len(str(caught.value)) < 1000
