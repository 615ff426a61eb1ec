import numpy as np
import pytest
import tensorflow as tf

from training.data import handwriting
from training.io.user_error import UserError


def test_splits_share_no_image_and_leave_none_out():
    _, labels = handwriting.load_handwriting()
    parts = handwriting.split_indices(labels)
    together = np.concatenate(list(parts.values()))
    assert sorted(together) == list(range(1797))


def test_splits_are_stratified():
    _, labels = handwriting.load_handwriting()
    for split, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        part = handwriting.split_indices(labels)[split]
        counts = np.bincount(labels[part], minlength=10)
        np.testing.assert_allclose(
            counts, share * np.bincount(labels), atol=2.5
        )


def test_pick_returns_images_of_each_class():
    images, labels = handwriting.load_handwriting()
    validation = handwriting.Handwriting("validation")
    part = handwriting.split_indices(labels)["validation"]
    classes = np.repeat(np.arange(10), 7).reshape(10, 7).astype("int32")
    uniform = np.tile(np.linspace(0, 0.999, 7, dtype="float32"), (10, 1))
    picked = validation.pick(classes, uniform).numpy()
    for digit in range(10):
        own = images[part[labels[part] == digit]]
        resized = tf.image.resize(own[..., None], (16, 16))[..., 0].numpy()
        for image in picked[digit]:
            assert np.abs(resized - image).max((1, 2)).min() == 0


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(handwriting.__builtins__, "__import__", _no_sklearn)
    handwriting.load_handwriting.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'nonlocal-tf\[digits\]'"):
        handwriting.load_handwriting()


def _no_sklearn(name, *rest, _import=__import__):
    if name.startswith("sklearn"):
        raise ImportError(name)
    return _import(name, *rest)
