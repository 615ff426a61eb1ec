"""Weights are found under any key and prefix, the averaged ones first."""

import numpy as np
import pytest

from nonlocal_tf.weights import CheckpointError, pytorch
from nonlocal_tf.weights.read import read
from tests.weights import mutations

NAMES = tuple(mutations.TENSORS)


def tensors(value=1.0, prefix=""):
    """What `read` takes for a network of torchvision."""
    return {f"{prefix}{n}": np.full((3, 2), value, "f4") for n in NAMES}


def read_saved(tmp_path, saved):
    path = tmp_path / "a.pth"
    with open(path, "wb") as file:
        pytorch.write(file, saved)
    return read(path)


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
def test_any_one_dictionary_of_arrays_is_taken(keys, tmp_path):
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
def test_a_prefix_of_all_names_is_left_out(prefix, tmp_path):
    saved = {"state_dict": tensors(prefix=prefix)}
    assert tuple(read_saved(tmp_path, saved).arrays) == NAMES


def test_a_part_of_a_network_may_be_wrapped(tmp_path):
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
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_averaged_weights_are_taken_and_named(
    plain, averaged, is_first, tmp_path
):
    saved = {plain: tensors(1.0), averaged: tensors(2.0)}
    saved = saved if is_first else dict(reversed(saved.items()))
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    expected = f"{averaged!r} (averaged weights), not of {plain!r}"
    assert checkpoint.selected == expected


def test_a_counter_of_averages_is_no_weight(tmp_path):
    average = {"n_averaged": 7, **tensors(2.0, "module.")}
    checkpoint = read_saved(tmp_path, {"model_ema": average})
    assert checkpoint.ignored == ("n_averaged",)
    assert tuple(checkpoint.arrays) == NAMES


def test_mmengine_exchanges_the_average_when_it_saves(tmp_path):
    raw = {"steps": 7, **tensors(1.0, "module.")}
    saved = {"state_dict": tensors(2.0), "ema_state_dict": raw}
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert checkpoint.selected.endswith("not of 'ema_state_dict'")


def test_mmcv_has_the_raw_weights_by_names_without_dots(tmp_path):
    raw = {f"ema_{n.replace('.', '_')}": a for n, a in tensors(1.0).items()}
    checkpoint = read_saved(tmp_path, {"state_dict": {**tensors(2.0), **raw}})
    assert checkpoint.ignored == tuple(raw)
    assert tuple(checkpoint.arrays) == NAMES


def test_a_network_beside_its_average_in_one_dictionary(tmp_path):
    saved = {**tensors(1.0, "model."), **tensors(2.0, "ema_model.module.")}
    checkpoint = read_saved(tmp_path, {"state_dict": saved})
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert "'state_dict.ema_model' (averaged" in checkpoint.selected


def test_the_usual_key_goes_first(tmp_path):
    saved = {"generator": tensors(1.0), "state_dict": tensors(2.0)}
    checkpoint = read_saved(tmp_path, saved)
    assert checkpoint.arrays[NAMES[0]][0, 0] == 2.0
    assert checkpoint.selected == "'state_dict', not of 'generator'"


def test_several_without_a_usual_key_are_listed(tmp_path):
    saved = {"first": tensors(), "second": tensors()}
    with pytest.raises(CheckpointError, match=r"'first' \(3 arrays\), 'second"):
        read_saved(tmp_path, saved)


def test_an_error_lists_the_keys_of_the_file(tmp_path):
    saved = {"epoch": 3, "autoencoder": {"a": np.zeros(3, "f4")}, "lr": 0.1}
    with pytest.raises(CheckpointError, match="'epoch', 'autoencoder', 'lr'"):
        read_saved(tmp_path, saved)


def test_a_long_common_prefix_ends(tmp_path):
    prefix = "a." * 100_000
    with pytest.raises(CheckpointError, match="residual network") as caught:
        read_saved(tmp_path, {f"{prefix}{n}": a for n, a in tensors().items()})
    assert len(str(caught.value)) < 1000
