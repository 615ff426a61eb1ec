"""Small valid checkpoints of every format, and damaged copies of them."""

import io
import pathlib
import pickle
import random
import struct
import tempfile
import zipfile

import h5py
import keras
import numpy as np

from nonlocal_tf.checkpoints.readers import pytorch, safetensors

ARRAYS = {
    "conv1_w": np.arange(24, dtype="float32").reshape(2, 3, 4),
    "res2_0_branch2a_w": np.ones((3, 2), "float32"),
    "pred_b": np.zeros(5, "float64"),
    "lr": np.float32(0.5),
}
TENSORS = {
    "conv1.weight": np.arange(24, dtype="float32").reshape(2, 3, 4),
    "layer1.0.conv1.weight": np.ones((3, 2), "float32"),
    "fc.bias": np.zeros(5, "float32"),
}
LAYERS = ("conv1", "res2_block0_conv1", "logits")
# Edge cases of sizes, counts and offsets.
NUMBERS = (
    *(0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1),
    *(2**40, 2**63 - 1, 2**64 - 1),
)
OPCODES = b"()}]Nt\x85\x86\x87\x94\x81R.bQeuaslsdh\x8c\x8a\x8e\x93\x91\x8f0"


def valid_files() -> dict[str, bytes]:
    """Return contents by file name."""
    files = {
        f"protocol{protocol}.pkl": pickle.dumps({"blobs": ARRAYS}, protocol)
        for protocol in range(6)
    }
    files["archive.pth"] = _torch({"state_dict": TENSORS, "epoch": 3})
    files["averaged.pth"] = _torch(
        {"model": TENSORS, "model_ema": {"n_averaged": 3, **TENSORS}}
    )
    files["legacy.pth"] = _legacy()
    files["weights.safetensors"] = _safetensors()
    files["keras3.weights.h5"] = _hdf5(_write_keras3)
    files["keras2.h5"] = _hdf5(_write_keras2)
    files["compressed.weights.h5"] = _hdf5(_write_compressed)
    files["model.keras"] = _keras()
    files["variables.npz"] = _npz()
    return files


def mutated(name: str, content: bytes, rng: random.Random) -> bytes:
    """Return a damaged copy; entries of archives get valid checksums."""
    if zipfile.is_zipfile(io.BytesIO(content)) and rng.random() < 0.8:
        return _mutated_archive(content, rng)
    return _mutated_bytes(content, rng, is_pickle=name.endswith(".pkl"))


def _mutated_archive(content: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [(n, archive.read(n)) for n in archive.namelist()]
    target = rng.randrange(len(parts))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for index, (name, part) in enumerate(parts):
            if index == target:
                part = _mutated_bytes(part, rng, name.endswith(".pkl"))
            archive.writestr(name, part)
    return out.getvalue()


def _mutated_bytes(
    content: bytes, rng: random.Random, is_pickle: bool = False
) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        offset = rng.randrange(len(data) + 1)
        length = rng.choice((1, 2, 4, 8, 32))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[offset % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            number = rng.choice(NUMBERS)
            width = rng.choice((1, 2, 4, 8))
            order = rng.choice(("little", "big"))
            number %= 2 ** (8 * width)
            data[offset : offset + width] = number.to_bytes(width, order)
        elif kind == 2:
            del data[offset : offset + length]
        elif kind == 3:
            source = rng.randrange(len(data) + 1)
            copied = data[source : source + length]
            data[offset:offset] = copied * rng.choice((1, 1, 300))
        elif kind == 4:
            data[offset : offset + length] = rng.randbytes(length)
        elif is_pickle:
            opcodes = rng.choices(OPCODES, k=length)
            data[offset:offset] = bytes(opcodes) * rng.choice((1, 1, 1000))
        else:
            del data[offset:]
    return bytes(data)


def _torch(saved) -> bytes:
    out = io.BytesIO()
    pytorch.write(out, saved)
    return out.getvalue()


def _safetensors() -> bytes:
    out = io.BytesIO()
    counts = np.arange(3, dtype="int64")
    arrays = {**TENSORS, "bn1.num_batches_tracked": counts}
    safetensors.write(out, arrays, {"nonlocal_tf": '{"stem": "slowfast"}'})
    return out.getvalue()


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _legacy() -> bytes:
    """Return a file of torch.save before 1.6: pickles and then the data."""
    heads = (pytorch.LEGACY_MAGIC, 1001, {"little_endian": True})
    content = b"".join(pickle.dumps(head, protocol=2) for head in heads)
    saved, data = b"\x80\x02}(", b""
    for key, (name, array) in enumerate(TENSORS.items()):
        strides = [stride // array.itemsize for stride in array.strides]
        saved += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        saved += _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(key))
        saved += _text("cpu") + b"K" + bytes([array.size]) + b"NtQK\0"
        for sizes in (array.shape, strides):
            saved += b"(" + b"".join(b"K" + bytes([n]) for n in sizes)
            saved += b"t"
        saved += b"\x89NtR"
        data += struct.pack("<q", array.size) + array.tobytes()
    keys = pickle.dumps([str(key) for key in range(len(TENSORS))], protocol=2)
    return content + saved + b"u." + keys + data


def _hdf5(write) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return out.getvalue()


def _write_keras3(file) -> None:
    for name in LAYERS:
        group = file.create_group(f"layers/{name}/vars")
        group.attrs["name"] = name
        group["0"], group["1"] = np.ones((2, 3), "f4"), np.zeros(3, "f4")


def _write_compressed(file) -> None:
    options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    for name in LAYERS:
        group = file.create_group(f"layers/{name}/vars")
        group.attrs["name"] = name
        data = np.arange(35, dtype="f4").reshape(5, 7)
        group.create_dataset("0", data=data, chunks=(3, 2), **options)


def _write_keras2(file) -> None:
    file.attrs["layer_names"] = list(LAYERS)
    for name in LAYERS:
        group = file.create_group(name)
        group.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
        group[f"{name}/kernel:0"] = np.ones((2, 3), "f4")
        group[f"{name}/bias:0"] = np.zeros(3, "f4")


def _keras() -> bytes:
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, name="logits")]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez(
        out,
        variable_00000=np.ones((2, 3), "float32"),
        variable_00001=np.zeros(5, "int64"),
        average_00000=np.ones((2, 3), "float32"),
    )
    return out.getvalue()
