"""Compressed HDF5 weights, read within the memory budget."""

import tracemalloc
import zlib

import h5py
import numpy as np
import pytest

from nonlocal_tf.checkpoints import CheckpointError, size_limits
from nonlocal_tf.checkpoints.readers import hdf5

FILTERS = {
    "gzip": {"compression": "gzip"},
    "gzip and shuffle": {"compression": "gzip", "shuffle": True},
    "shuffle": {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "all": {"compression": "gzip", "shuffle": True, "fletcher32": True},
}


def write(path, data, **options):
    """Write a file of Keras 3 with one array."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv/vars")
        group.create_dataset("0", data=data, **options)
    return path


def read(path):
    """Read the array of a file, within its budget."""
    with open(path, "rb") as file:
        size = path.stat().st_size
        (array,) = hdf5.read(file, size_limits.MemoryBudget(size)).values()
    return array


def normal(shape, dtype="f4"):
    values = 100 * np.random.default_rng(3).standard_normal(shape)
    return values.astype(dtype)


@pytest.mark.parametrize("options", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("chunks", [True, (7, 5, 3), (2, 3, 2), (4, 11, 1)])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "f2", "u1", "?"])
def test_compressed_arrays_are_restored(options, chunks, dtype, tmp_path):
    data = normal((7, 11, 3), dtype)
    array = read(write(tmp_path / "a.h5", data, chunks=chunks, **options))
    assert array.dtype == data.dtype
    np.testing.assert_array_equal(array, data)


@pytest.mark.parametrize("options", FILTERS.values(), ids=FILTERS)
def test_large_chunks_are_read_in_budget(options, tmp_path):
    data = normal((1500, 2000))
    path = write(tmp_path / "a.h5", data, chunks=data.shape, **options)
    tracemalloc.start()
    try:
        array = read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(array, data)
    assert peak <= 4 * path.stat().st_size + size_limits.MIN_BYTES


def test_an_unwritten_chunk_has_the_fill_value(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_group("layers/conv/vars").create_dataset(
            "0", (5,), "f4", chunks=(3,), fillvalue=7, compression="gzip"
        )
        data[:3] = 2
    assert read(path).tolist() == [2, 2, 2, 7, 7]


def test_skipped_filters_are_not_undone(tmp_path):
    data = normal(5)

    def skip(dataset):
        dataset.id.write_direct_chunk((0,), data.tobytes(), filter_mask=3)

    path = write_raw_chunk(tmp_path / "a.h5", (5,), skip, shuffle=True)
    np.testing.assert_array_equal(read(path), data)


def test_compressed_bfloat16_is_read(tmp_path):
    path = tmp_path / "a.h5"
    halves = np.array([0x3F80, 0xC000, 0x4040], "<u2").view("V2")
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv/vars")
        data = group.create_dataset(
            "0", data=halves, chunks=(2,), compression="gzip"
        )
        data.attrs["dtype"] = "bfloat16"
    assert read(path).tolist() == [1.0, -2.0, 3.0]


def write_raw_chunk(path, shape, write_chunks, **options):
    """Write a gzip dataset whose one chunk a function writes raw."""
    with h5py.File(path, "w") as file:
        write_chunks(
            file.create_group("layers/conv/vars").create_dataset(
                "0", shape, "f4", chunks=shape, compression="gzip", **options
            )
        )
    return path


@pytest.mark.parametrize(
    "stored",
    [
        zlib.compress(bytes(40_000_000), 9),  # a decompression bomb
        zlib.compress(bytes(21)),
        zlib.compress(bytes(19)),
        zlib.compress(bytes(20))[:-5],
        bytes(60_000),
    ],
    ids=["bomb", "longer", "shorter", "cut off", "far more stored"],
)
def test_a_chunk_of_another_size_is_refused(stored, tmp_path):
    path = write_raw_chunk(
        tmp_path / "a.h5",
        (5,),
        lambda data: data.id.write_direct_chunk((0,), stored),
    )
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="does not decompress to"):
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**21


@pytest.mark.parametrize("shape", [(2**30,), (2**15, 2**15)])
def test_a_declared_size_beyond_the_budget_is_refused(shape, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv/vars")
        group.create_dataset("0", shape, "f4", compression="gzip")
    with pytest.raises(CheckpointError, match="far more than its own size"):
        read(path)


def test_a_wrong_checksum_is_refused(tmp_path):
    path = write(tmp_path / "a.h5", normal(50), chunks=(50,), fletcher32=True)
    content = bytearray(path.read_bytes())
    content[content.index(normal(50).tobytes()) + 9] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="its checksum differs"):
        read(path)


def test_types_that_numpy_lacks_are_refused(tmp_path):
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_precision(12)
    kind.set_offset(8)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv/vars")
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((4,))
        layout.set_deflate(4)
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(group.id, b"0", kind, space, layout)
    with pytest.raises(CheckpointError, match="type that NumPy lacks"):
        read(path)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"compression": "lzf"}, "lzf"), ({"scaleoffset": 2}, "scaleoffset")],
)
def test_other_filters_are_refused_by_name(options, name, tmp_path):
    path = write(tmp_path / "a.h5", normal((7, 5)), **options)
    with pytest.raises(CheckpointError, match=rf"filters \[{name}\].*h5repack"):
        read(path)
