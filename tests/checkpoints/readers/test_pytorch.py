"""Files of `torch.save`, two of them from tests/data/video/make_torch.py."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.read import map_file
from nonlocal_tf.checkpoints.readers import pytorch
from tests.checkpoints.checkpoint_files import DATA


def read(path):
    with open(path, "rb") as file, map_file(file) as content:
        return pytorch.read(file, content)


def numbers(*shape):
    count = int(np.prod(shape))
    return np.arange(1, count + 1, dtype="float32").reshape(shape) / 8


BASE = numbers(4, 3)
EXPECTED = {
    "transposed": BASE.T,
    "view": BASE[1:3],
    "half": BASE.astype("float16"),
    "bfloat16": BASE,  # eighths up to 12/8 are exact in eight bits
    "double": BASE.astype("float64"),
    "integers": np.arange(5),
    "parameter": BASE,
    "scalar": np.float32(2.5),
    "expanded": np.full(3, 1.5, "float32"),
}


@pytest.mark.parametrize("kind", ["archive", "legacy"])
def test_files_of_pytorch_are_read(kind):
    saved = read(DATA / f"torch_{kind}.pth")
    assert saved["epoch"] == 3
    assert saved["meta"]["text"] == "résumé"
    for name, expected in EXPECTED.items():
        array = saved[name].to_numpy()
        assert array.dtype == expected.dtype, name
        np.testing.assert_array_equal(array, expected, err_msg=name)
    weights = saved["state_dict"]
    np.testing.assert_array_equal(
        weights["weight"].to_numpy(), numbers(3, 2, 1, 3, 3)
    )


@pytest.mark.parametrize("kind", ["archive", "legacy"])
def test_files_truncated_anywhere_are_refused(kind, tmp_path):
    content = (DATA / f"torch_{kind}.pth").read_bytes()
    path = tmp_path / "cut.pth"
    for length in range(1, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            saved = read(path)
            [saved[name].to_numpy() for name in EXPECTED]


@pytest.mark.parametrize("kind", ["archive", "legacy"])
def test_a_changed_byte_is_at_most_one_error(kind, tmp_path):
    content = bytearray((DATA / f"torch_{kind}.pth").read_bytes())
    path = tmp_path / "flipped.pth"
    random = np.random.default_rng(0)
    for offset in random.integers(0, len(content), 200):
        original, content[offset] = content[offset], random.integers(256)
        path.write_bytes(content)
        try:
            for value in read(path).values():
                if hasattr(value, "to_numpy"):
                    value.to_numpy()
        except (CheckpointError, AttributeError) as error:
            # The result may be no dictionary.
            assert isinstance(error, CheckpointError) or "values" in str(error)
        content[offset] = original


def written(saved) -> bytes:
    file = io.BytesIO()
    pytorch.write(file, saved)
    return file.getvalue()


def test_written_files_are_read(tmp_path):
    path = tmp_path / "written.pth"
    arrays = {"a": numbers(2, 3), "b": np.float32(7) + numbers(5)}
    path.write_bytes(written({"model_state": arrays, "epoch": 2, "cfg": "x"}))
    saved = read(path)
    assert (saved["epoch"], saved["cfg"]) == (2, "x")
    for name, array in arrays.items():
        np.testing.assert_array_equal(
            saved["model_state"][name].to_numpy(), array
        )


def test_written_files_are_read_by_pytorch():
    torch = pytest.importorskip("torch")
    arrays = {"a": numbers(2, 3), "b": numbers(5)}
    content = written({"model_state": arrays, "cfg": "x"})
    saved = torch.load(io.BytesIO(content), weights_only=True)
    for name, array in arrays.items():
        np.testing.assert_array_equal(saved["model_state"][name], array)


def test_written_archives_have_the_entries_of_pytorch():
    with zipfile.ZipFile(DATA / "torch_archive.pth") as reference:
        expected = {n.split("/", 1)[1] for n in reference.namelist()}
    content = written({"a": numbers(2)})
    with zipfile.ZipFile(io.BytesIO(content)) as written_archive:
        names = {n.split("/", 1)[1] for n in written_archive.namelist()}
        assert all(
            entry.compress_type == zipfile.ZIP_STORED
            for entry in written_archive.infolist()
        )
    assert names == {"data.pkl", "byteorder", "version", "data/0"}
    assert names <= expected


def test_only_float32_is_written():
    with pytest.raises(ValueError, match="Expected float32"):
        written({"a": np.zeros(2)})


def archive(path, data, **records):
    """Write an archive with a given pickle and records."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", data)
        for name, content in records.items():
            file.writestr(f"archive/data/{name[1:]}", content)
    return path


def tensor(shape, strides, offset=0, count=4):
    """Return the pickle of a tensor with a storage of four numbers."""

    def integers(values):
        return b"(" + b"".join(b"I%d\n" % v for v in values) + b"t"

    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
        b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + b"I%d\n" % count
        + b"tQI%d\n" % offset
        + integers(shape)
        + integers(strides)
        + b"\x89}tR."
    )


def test_a_strided_tensor_is_read(tmp_path):
    path = archive(
        tmp_path / "a", tensor((2, 2), (1, 2)), _0=numbers(4).tobytes()
    )
    np.testing.assert_array_equal(
        read(path).to_numpy(), numbers(4).reshape(2, 2).T
    )


@pytest.mark.parametrize(
    ("shape", "strides", "options"),
    [
        ((5,), (1,), {}),
        ((2, 2), (1, 4), {}),
        ((4,), (1,), {"offset": 1}),
        ((4,), (-1,), {"offset": 3}),
        ((4,), (1,), {"offset": -1}),
        ((2, 2), (1,), {}),
        ((2**30,), (0,), {}),
        ((2**80,), (0,), {}),
    ],
)
def test_a_tensor_that_exceeds_its_storage_is_refused(
    shape, strides, options, tmp_path
):
    path = archive(
        tmp_path / "a", tensor(shape, strides, **options), _0=bytes(16)
    )
    with pytest.raises(CheckpointError, match="exceeds its storage"):
        read(path).to_numpy()


def test_a_storage_of_another_size_is_refused(tmp_path):
    path = archive(tmp_path / "a", tensor((4,), (1,)), _0=bytes(12))
    with pytest.raises(CheckpointError, match="16 bytes.*Received: 12"):
        read(path)


def test_a_missing_storage_is_refused(tmp_path):
    path = archive(tmp_path / "a", tensor((4,), (1,)))
    with pytest.raises(CheckpointError, match="no item named .*data/0"):
        read(path)


def test_code_in_an_written_archiveis_not_run(tmp_path):
    content = b"\x80\x02cos\nsystem\n(X\x01\x00\x00\x00xtR."
    with pytest.raises(CheckpointError, match="run or build os.system"):
        read(archive(tmp_path / "a", content))


def test_a_compressed_written_archiveis_refused(tmp_path):
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", pickle.dumps({}) + bytes(10_000))
    with pytest.raises(CheckpointError, match="compressed"):
        read(path)


def test_other_archives_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=numbers(3))
    with pytest.raises(CheckpointError, match=r"not one of torch\.save"):
        read(path)
