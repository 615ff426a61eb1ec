import keras
import numpy as np
import pytest

from tests.training.data.small_datasets import as_arrays, load_classes
from training.data import datasets

SEED = 3


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return load_classes(folder)


def assert_same_examples(source, batches):
    examples = [row for batch in batches for row in zip(*batch, strict=True)]
    assert len(source) == len(examples)
    for (pixels, label), (expected, expected_label) in zip(
        source, examples, strict=True
    ):
        np.testing.assert_array_equal(pixels, expected)
        assert label == expected_label


def test_training_examples_are_those_of_an_epoch(videos):
    batches = videos.batches("train", 7, seed=SEED, preprocess=None)
    for epoch in range(2):  # 7 divides 14
        source = videos.source("train", seed=SEED, epoch=epoch)
        assert_same_examples(source, as_arrays(batches))


def test_evaluation_examples_are_in_order(videos):
    batches = videos.batches("test", 2, preprocess=None)
    assert_same_examples(videos.source("test"), as_arrays(batches))


def test_generated_examples_are_in_order():
    digits = datasets.load("digits_recall")
    source = digits.source("test")
    assert len(source) == digits.eval_examples
    for index in (0, 63):
        pixels, label = source[index]
        example = digits.example("test", index)
        np.testing.assert_array_equal(pixels, example.pixels)
        assert label == example.label


def test_indices_are_those_of_a_list(videos):
    source = videos.source("test")
    np.testing.assert_array_equal(source[-1][0], source[np.int64(1)][0])
    for index in (2, -3):
        with pytest.raises(IndexError, match=f"below 2. Received: {index}"):
            source[index]


class Batches(keras.utils.PyDataset):
    """Batches of a source, read by threads."""

    def __init__(self, source, batch):
        super().__init__(workers=2)
        self._source, self._batch = source, batch

    def __len__(self):
        return len(self._source) // self._batch

    def __getitem__(self, index):
        first = index * self._batch
        examples = [self._source[first + i] for i in range(self._batch)]
        pixels, labels = zip(*examples, strict=True)
        return np.stack(pixels) / np.float32(255), np.stack(labels)


def test_keras_dataset_reads_a_source(videos):
    model = keras.Sequential(
        [keras.Input((3, 16, 16, 3)), keras.layers.Flatten()]
    )
    model.add(keras.layers.Dense(2, "softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    batches = Batches(videos.source("train"), 7)
    history = model.fit(batches, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_grain_reads_a_source(videos):
    grain = pytest.importorskip("grain")
    source = videos.source("train", seed=SEED)
    dataset = grain.MapDataset.source(source).batch(7)
    assert_same_examples(source, [dataset[0], dataset[1]])
