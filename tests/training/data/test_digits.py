import collections

import numpy as np
import pytest
import tensorflow as tf

from training.data import datasets, digits, generated
from training.data.handwriting import load_handwriting, split_indices
from training.io.user_error import UserError


@pytest.fixture(scope="module")
def recall():
    return datasets.load("digits_recall")


@pytest.fixture(scope="module")
def examples(recall):
    """64 test clips with all that is known of them."""
    block = recall._eval_block("test", 0)
    return {key: value.numpy() for key, value in block.items()}


def colour_of(pixels):
    """The nearest of the six colours to the brightest pixels' mean."""
    flat = pixels.reshape(-1, 3).astype("float32")
    brightest = flat[np.argsort(flat.max(-1))[-12:]].mean(0)
    palette = np.array(list(digits.COLOURS.values()), "float32")
    hues = palette / np.linalg.norm(palette, axis=-1, keepdims=True)
    return int((hues @ brightest).argmax())


def box(clip, point, side):
    frame, y, x = point
    half = side // 2
    return clip[frame, y - half : y + half, x - half : x + half]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_uses_handwriting_of_its_split(split, monkeypatch):
    monkeypatch.setattr(digits, "NOISE_STD", 0.0)
    images, labels = load_handwriting()
    all_images = tf.image.resize(images[..., None], (16, 16)).numpy()[..., 0]
    own = set(split_indices(labels)[split].tolist())
    dataset = datasets.load("digits_recall")
    for index in range(30):
        example = dataset.example(split, index)
        # Every colour has one channel at 255.
        patch = box(example.pixels, example.query, 16).max(-1) / 255
        same = np.flatnonzero(np.abs(all_images - patch).max((1, 2)) < 1 / 255)
        assert len(same) and set(same.tolist()) <= own


def test_clips_are_uint8_of_the_stated_shape(recall, examples):
    assert examples["pixels"].dtype == np.uint8
    assert examples["pixels"].shape == (64, *recall.element_shape)


def test_labelled_digit_has_the_colour_of_the_flash(examples):
    for clip, query, target in zip(
        examples["pixels"], examples["query"], examples["target"], strict=True
    ):
        digit = colour_of(box(clip, query, digits.DIGIT_PX))
        assert digit == colour_of(box(clip, target, digits.FLASH_PX))


def test_flash_is_in_frame_0_and_the_digits_are_not(examples):
    assert (examples["target"][:, 0] == 0).all()
    assert (examples["query"][:, 0] > 0).all()


def test_four_frames_besides_the_first_show_a_digit(examples):
    lit = examples["pixels"].max((2, 3, 4)) > 128
    assert lit[:, 0].all()
    np.testing.assert_array_equal(lit[:, 1:].sum(1), 4)


def test_digits_have_different_colours(examples):
    for clip in examples["pixels"]:
        lit = [f for f in clip[1:] if f.max() > 128]
        assert len({colour_of(frame) for frame in lit}) == 4


def test_all_classes_colours_and_frames_occur(recall):
    labels, frames, colours = [], set(), set()
    for block in range(8):
        examples = recall._eval_block("validation", block)
        labels += examples["label"].numpy().tolist()
        frames |= set(examples["query"][:, 0].numpy().tolist())
        colours |= {
            colour_of(box(c, t, digits.FLASH_PX))
            for c, t in zip(
                examples["pixels"].numpy(),
                examples["target"].numpy(),
                strict=True,
            )
        }
    counts = collections.Counter(labels)
    assert min(counts.values()) > 25 and len(counts) == 10  # of 512
    assert frames == set(range(1, 8))
    assert colours == set(range(6))


def test_batch_is_a_function_of_seed_and_number(recall):
    def batches(seed, start):
        return [
            (pixels.numpy(), labels.numpy())
            for pixels, labels in recall.train_batches(3, seed, start, 5)
        ]

    whole, resumed, other = batches(7, 0), batches(7, 2), batches(8, 0)
    assert len(whole) == 5 and len(resumed) == 3
    for (a, b), (c, d) in zip(whole[2:], resumed, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    assert (whole[0][0] != whole[1][0]).any()
    assert (whole[0][0] != other[0][0]).any()


def test_eager_and_tf_data_make_the_same_clips(recall):
    pixels, labels = next(iter(recall.train_batches(3, 7, 4, 5)))
    eager = recall.make(recall._handwriting["train"], 3, (7, 4))
    np.testing.assert_array_equal(pixels, eager["pixels"])
    np.testing.assert_array_equal(labels, eager["label"])


@pytest.mark.parametrize("name", ["digits_recall", "digits_frames"])
def test_cardinality_is_known(name):
    dataset = datasets.load(name)
    assert dataset.train_batches(3, 0, 2, 9).cardinality() == 7
    assert dataset.eval_batches("test").cardinality() == generated.EVAL_BLOCKS


def test_example_equals_the_evaluated_one(recall):
    pixels, labels = next(iter(recall.eval_batches("test")))
    example = recall.example("test", 5)
    np.testing.assert_array_equal(example.pixels, pixels[5])
    assert example.label == labels[5]


def test_frames_show_one_digit_of_the_named_colour():
    dataset = datasets.load("digits_frames")
    for index in range(40):
        example = dataset.example("test", index)
        colour, _ = dataset.classes[example.label].split()
        assert colour == list(digits.COLOURS)[colour_of(example.pixels)]
        assert example.query is None


@pytest.mark.parametrize("index", [-1, 64 * 32])
def test_example_index_out_of_range_raises(recall, index):
    with pytest.raises(UserError, match="Expected a sample from 0 to"):
        recall.example("test", index)


def test_unknown_split_suggests_the_nearest(recall):
    with pytest.raises(UserError, match="Did you mean 'validation'"):
        recall.eval_batches("valid")


def test_unknown_dataset_suggests_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'digits_recall'"):
        datasets.load("digit_recall")
