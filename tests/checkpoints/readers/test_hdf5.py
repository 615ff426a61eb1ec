"""Weights in HDF5: networks of the library, Keras' ResNets, unsafe files."""

import shutil
import struct
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.readers import hdf5, hdf5_strings
from nonlocal_tf.checkpoints.size_limits import MemoryBudget
from tests import harness
from tests.checkpoints.shallow_resnets import build


def read(path):
    with open(path, "rb") as file:
        return hdf5.read(file)


@pytest.mark.parametrize(
    ("norm", "pairwise"),
    [("batch", "concatenation"), ("affine", "embedded_gaussian")],
)
def test_arrays_have_the_paths_of_their_variables(norm, pairwise, tmp_path):
    model = build("c2d_nl1", norm=norm, pairwise=pairwise)
    harness.randomise(model)
    model.save_weights(tmp_path / "a.weights.h5")
    arrays = read(tmp_path / "a.weights.h5")
    for variable in model.weights:
        np.testing.assert_array_equal(
            arrays[variable.path],
            harness.array(variable),
            err_msg=variable.path,
        )


@pytest.mark.parametrize("extension", ["keras", "weights.h5"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_state_of_the_optimizer_is_ignored(optimizer, extension, tmp_path):
    expected, model = (nl.create_model("c2d_nl1_small") for _ in range(2))
    harness.randomise(expected)
    expected.compile(optimizer, "mse")
    expected.optimizer.build(expected.trainable_variables)
    path = tmp_path / f"a.{extension}"
    (expected.save if extension == "keras" else expected.save_weights)(path)
    report = nl.load_weights(model, path)
    assert "optimizer/0" in str(report.ignored)
    for loaded, original in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(
            harness.array(loaded), harness.array(original)
        )


def keras_resnet(**options):
    """Keras' ResNet-50 with random weights, statistics and biases."""
    model = keras.applications.ResNet50(
        weights=None,
        input_shape=(64, 64, 3),
        classes=7,
        classifier_activation=None,
        **options,
    )
    harness.randomise(model, 0.05)
    return model


def write_keras2(model, path):
    """Write a file of Keras 2, as keras.applications has them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}:0" for w in layer.weights]
            group.attrs["weight_names"] = names
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = harness.array(weight)
    return path


@pytest.mark.parametrize(
    "kind", [pytest.param("keras 2", marks=pytest.mark.slow), "keras 3"]
)
def test_a_resnet_of_keras_has_equal_outputs(kind, tmp_path):
    original = keras_resnet()
    path = tmp_path / "resnet.weights.h5"
    if kind == "keras 2":
        write_keras2(original, path)
    else:
        original.save_weights(path)
    model, report = nl.from_checkpoint(path, clip_shape=(64, 64, 3))
    assert (model.name, report.format) == ("image_r50", "keras_resnet")
    assert not report.kept + report.unused
    # Biases are absorbed by means, epsilon by variances.
    assert len(report.converted) == 53 * 4
    x = harness.normal((2, 64, 64, 3))
    expected = harness.array(original(x, training=False))
    y = harness.array(model(x, training=False))
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, atol=bound)


@pytest.mark.slow
def test_a_resnet_of_keras_is_inflated(tmp_path):
    original = keras_resnet(include_top=False, pooling="avg")
    path = write_keras2(original, tmp_path / "resnet.h5")
    model = nl.create_model(
        "c2d_r50",
        clip_shape=(4, 64, 64, 3),
        stem="slowfast",  # pads the pool as image networks do
        stride_on="1x1",
        head="none",
    )
    assert nl.load_weights(model, path).differences == ()
    x = harness.normal((1, 64, 64, 3))
    expected = harness.array(original(x, training=False))
    clip = np.repeat(x[:, None], 4, axis=1)
    y = harness.array(model(clip, training=False)).mean((2, 3))
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y[:, 0], expected, atol=bound)


@pytest.mark.full
def test_a_resnet_without_a_classifier_gives_features(tmp_path):
    original = keras_resnet(include_top=False)
    path = write_keras2(original, tmp_path / "notop.h5")
    model, _ = nl.from_checkpoint(path, clip_shape=(64, 64, 3))
    x = harness.normal((1, 64, 64, 3))
    expected = harness.array(original(x, training=False))
    y = harness.array(model(x, training=False))
    assert y.shape == (1, 2, 2, 2048)
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, atol=bound)


def test_a_truncated_file_is_refused(tmp_path):
    model = build("c2d")
    path = tmp_path / "a.weights.h5"
    model.save_weights(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        read(path)


def test_external_data_are_refused(tmp_path):
    secret, path = tmp_path / "secret", tmp_path / "a.h5"
    secret.write_bytes(bytes(range(8)))
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv/vars")
        group.create_dataset("0", (8,), "uint8", external=[(str(secret), 0, 8)])
    with pytest.raises(CheckpointError, match="refers to other files"):
        read(path)


def test_unwritten_data_beyond_the_budget_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv/vars")
        group.create_dataset("0", (2**40,), "float32", chunks=(2**10,))
    with pytest.raises(CheckpointError, match="far more than its own size"):
        read(path)


def test_cyclic_groups_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        group["again"] = group
    with pytest.raises(CheckpointError, match="endlessly nested"):
        read(path)


def test_weights_of_a_keras_archive_are_read(tmp_path):
    model = build("c2d")
    model.save(tmp_path / "a.keras")
    with open(tmp_path / "a.keras", "rb") as file:
        weights = hdf5.open_keras_archive(file)
    assert "conv1/kernel" in hdf5.read(weights)


def test_other_archives_are_none(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    with open(tmp_path / "a.npz", "rb") as file:
        assert hdf5.open_keras_archive(file) is None


def test_a_decompression_bomb_is_refused(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(100_000_000))
    with open(path, "rb") as file:
        with pytest.raises(CheckpointError, match="far more than its own s"):
            hdf5.open_keras_archive(file)


def test_a_keras_file_needs_its_extension(tmp_path):
    build("c2d").save(tmp_path / "a.keras")
    shutil.move(tmp_path / "a.keras", tmp_path / "a.bin")
    with pytest.raises(CheckpointError, match="Rename it"):
        nl.from_checkpoint(tmp_path / "a.bin")


def with_dataset(path, write):
    """Write a file with the group `conv/vars`, filled by `write`."""
    with h5py.File(path, "w") as file:
        write(file.create_group("layers/conv/vars"))
    return path


def doubly_gzipped(group):
    """Write a chunk larger than declared, compressed twice."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_chunk((4,))
    for _ in range(2):
        layout.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
    space = h5py.h5s.create_simple((4,))
    data = h5py.h5d.create(group.id, b"0", h5py.h5t.NATIVE_FLOAT, space, layout)
    compressed = zlib.compress(zlib.compress(bytes(16_000)))
    data.write_direct_chunk((0,), compressed)


def test_doubly_compressed_data_is_refused(tmp_path):
    path = with_dataset(tmp_path / "a.h5", doubly_gzipped)
    with pytest.raises(CheckpointError, match=r"\[gzip, gzip\].*h5repack -f N"):
        read(path)


def test_a_keras_archive_of_compressed_weights_is_refused(tmp_path):
    path = with_dataset(
        tmp_path / "model.weights.h5",
        lambda group: group.create_dataset("0", (4,), compression="gzip"),
    )
    with open(path, "rb") as file:
        with pytest.raises(CheckpointError, match="compressed, which Keras"):
            hdf5.check(file, MemoryBudget())


def test_a_chunk_far_larger_than_its_data_is_refused(tmp_path):
    def write(group):
        size = {"chunks": (2**28,), "maxshape": (None,)}
        group.create_dataset("0", (4,), "f4", **size)

    path = with_dataset(tmp_path / "a.h5", write)
    with pytest.raises(CheckpointError, match="far more than its own size"):
        read(path)


@pytest.mark.parametrize(
    "link",
    [h5py.ExternalLink("other.h5", "/layers/conv/vars/0"), h5py.SoftLink("/x")],
)
@pytest.mark.parametrize("place", ["layers/conv/vars/0", "layers/a", "vars"])
def test_links_are_refused(link, place, tmp_path):
    with_dataset(tmp_path / "other.h5", lambda group: group.create_group("0"))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3, "f4")
        file[place] = link
    with pytest.raises(CheckpointError, match="refers to other files"):
        read(path)


def test_virtual_datasets_are_refused(tmp_path):
    def write(group):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "data", (4,))
        group.create_virtual_dataset("0", layout)

    path = with_dataset(tmp_path / "a.h5", write)
    with pytest.raises(CheckpointError, match="refers to other files"):
        read(path)


@pytest.mark.parametrize("dtype", [h5py.string_dtype(), h5py.ref_dtype, "S8"])
def test_data_that_are_not_numeric_are_refused(dtype, tmp_path):
    path = with_dataset(
        tmp_path / "a.h5", lambda group: group.create_dataset("0", (4,), dtype)
    )
    with pytest.raises(CheckpointError, match="is not numeric"):
        read(path)


def test_long_strings_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["x" * 1_000_000] + ["a"] * 40
    with pytest.raises(CheckpointError, match="'layer_names' are too long"):
        read(path)


def test_bfloat16_is_read(tmp_path):
    halves = np.array([0x3F80, 0xC000], "<u2")  # 1 and -2

    def write(group):
        group["0"] = halves.view("V2")
        group["0"].attrs["dtype"] = "bfloat16"

    path = with_dataset(tmp_path / "a.h5", write)
    (array,) = read(path).values()
    assert array.tolist() == [1.0, -2.0]


@pytest.fixture
def file_with_strings(tmp_path):
    """Return a file with two strings, its content and their heap's offset."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["conv1", "logits"]
    content = bytearray(path.read_bytes())
    return path, content, content.index(hdf5_strings.HEAP_SIGNATURE)


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        read(path)


def test_an_endless_heap_of_strings_is_refused(file_with_strings):
    path, content, heap = file_with_strings
    free = heap + 3 * hdf5_strings.HEADER_BYTES + 2 * hdf5_strings.ALIGNMENT
    assert content[free : free + 8] == bytes(8)  # free space follows both
    content[free + 8 : free + 16] = bytes(8)  # of size zero, endlessly
    refused(path, content)


def test_a_string_beyond_its_heap_is_refused(file_with_strings):
    path, content, heap = file_with_strings
    first = (
        content.index(struct.pack("<QI", heap, 1)) - 4
    )  # the length comes before
    content[first : first + 4] = b"\xff\xff\xff\x7f"  # 2 GB of memory
    refused(path, content)


def test_strings_equal_those_of_h5py(file_with_strings):
    path, content, _ = file_with_strings
    with h5py.File(path) as file:
        address = h5py.h5o.get_info(file["/"].id).addr
    strings = hdf5_strings.StringTable(bytes(content))
    assert strings.read_attribute(address, "layer_names") == ["conv1", "logits"]
