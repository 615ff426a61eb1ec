"""Random requests for a model: valid ones, and ones that it must refuse."""

import base64
import io
import json
import pathlib
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

ODD_NAMES = ["", "nobody", "shares\0", "../shares", "ü" * 50, "a" * 5000]
JUNK = [None, True, "x", -1, 2.5, [], {}, [[1], [2, 3]], {"b64": 3}, 10**30]


class Requests:
    """Generator of requests for a model.

    Args:
        name: of the model on the server.
        version: its SavedModel, for the expected outputs.
        seed: of the random numbers.
    """

    def __init__(self, name: str, version: pathlib.Path, seed: int):
        self.name = name
        self.rng = np.random.default_rng(seed)
        self._module = tf.saved_model.load(str(version))
        self._signatures = self._module.signatures
        specs = self._signatures["serving_default"].structured_input_signature
        shape = specs[1]["clips"].shape[1:]
        self.shape = [
            side or default
            for side, default in zip(shape, (4, 32, 32, 3), strict=True)
        ]
        self.fixed = [bool(side) for side in shape]

    def good(self) -> tuple[str, dict, dict]:
        """Draw a signature, inputs and their expected outputs."""
        draw = self.rng.random()
        if "attention" in self._signatures and draw < 0.2:
            signature, inputs = "attention", self.look()
        elif draw < 0.5:
            signature, inputs = "serving_default", {"clips": self.clips(2)}
        else:
            files = [self.picture() for _ in range(3)]
            signature, inputs = "serve_frames", {"frames_bytes": row(files)}
        outputs = self._signatures[signature](
            **{name: _constant(value) for name, value in inputs.items()}
        )
        return signature, inputs, {k: v.numpy() for k, v in outputs.items()}

    def clips(self, batch: int) -> np.ndarray:
        """Draw valid pixels."""
        shape = (batch, *self.shape)
        return self.rng.integers(0, 256, shape).astype(np.uint8)

    def look(self) -> dict[str, np.ndarray]:
        """Inputs of attention."""
        query = [[int(self.rng.integers(side)) for side in self.shape[:3]]]
        return {
            "clips": self.clips(1),
            "block": np.array([b""], object),
            "query": np.array(query, np.int32),
        }

    def bad_look(self) -> dict[str, np.ndarray]:
        """The same with something wrong."""
        inputs = self.look()
        kind = self.rng.integers(7)
        if kind == 0:
            inputs["query"][0, self.rng.integers(3)] = 10**9
        elif kind == 1:
            inputs["query"][0, self.rng.integers(3)] = -1
        elif kind == 2:
            inputs["query"] = inputs["query"].astype(np.int64)
        elif kind == 3:
            inputs["query"] = inputs["query"][:, :2]
        elif kind == 4:
            inputs["block"] = np.array([b"nobody"], object)
        elif kind == 5:
            inputs["block"] = inputs["block"][:0]
        else:
            del inputs[["clips", "block", "query"][self.rng.integers(3)]]
        return inputs

    def picture(self, kind: str = "") -> bytes:
        """A JPEG or PNG file of a random size."""
        height, width = self.rng.integers(9, 40, 2)
        pixels = self.rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        file = io.BytesIO()
        kind = kind or ("JPEG" if self.rng.random() < 0.5 else "PNG")
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()

    def bad_picture(self) -> bytes:
        """Bytes that are no picture, or no longer one."""
        whole = self.picture("PNG" if self.rng.random() < 0.3 else "JPEG")
        kind = self.rng.integers(5)
        if kind == 0:  # without its end; of a JPEG at least half of it
            share = self.rng.uniform(0.02, 0.5)
            return whole[: int(share * len(whole))]
        if kind == 1:
            return b""
        if kind == 2:
            return self.rng.bytes(int(self.rng.integers(1, 999)))
        if kind == 3:  # a bomb: a header of a size, and nothing behind it
            return _with_size(self.picture("PNG"), 30000)
        return b"GIF89a" + self.rng.bytes(50)

    def bad_array(self, typed: bool = True) -> tuple[str, str, np.ndarray]:
        """A signature, an input of it, and what it does not take.

        Args:
            typed: whether integers of another width are another type.
        """
        kind = self.rng.integers(9)
        clips = self.clips(1)
        if kind == 0:
            dtypes = [np.float32, np.float64, np.bool_, np.int64, np.int32]
            dtypes = dtypes if typed else dtypes[:3]
            array = clips.astype(dtypes[self.rng.integers(len(dtypes))])
        elif kind == 1:
            array = np.full(clips.shape, np.nan, np.float32)
        elif kind == 2:
            array = clips[0] if self.rng.random() < 0.5 else clips[None]
        elif kind == 3:
            array = clips[:, :, :, :, : self.rng.integers(0, 3)]
        elif kind == 4:
            array = row([self.picture()])
        elif kind == 5:
            array = np.zeros((1, *self.shape), np.uint8)
            array = np.moveaxis(array, 4, 1)
        elif kind == 6:
            array = clips[0, 0, 0, 0, 0]  # a number alone
        elif kind == 7:
            array = clips[:0] if self.rng.random() < 0.5 else clips[:, :0]
        else:
            return self.bad_frames()
        return "serving_default", "clips", np.asarray(array)

    def bad_frames(self) -> tuple[str, str, np.ndarray]:
        """Pictures that serve_frames does not take."""
        kind = self.rng.integers(5)
        files = [self.picture(), self.bad_picture(), self.picture()]
        if kind == 0:
            array = np.array([1, 2, 3], np.int32)
        elif kind == 1:
            array = row([])
        elif kind == 2:
            array = row([self.picture()])[0]
        else:
            array = row(files[1:2] if kind == 3 else files)
        return "serve_frames", "frames_bytes", array

    def bad_message(self) -> bytes:
        """A request for gRPC that is wrong; some are no message at all."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        kind = self.rng.integers(11)
        if kind == 10:
            request.model_spec.signature_name = "attention"
            for name, array in self.bad_look().items():
                request.inputs[name].CopyFrom(proto(array))
        elif kind < 3:
            signature, name, array = self.bad_array()
            if name == "clips" and self.rng.random() < 0.3:
                signature = "features"
            request.model_spec.signature_name = signature
            request.inputs[name].CopyFrom(proto(array))
        elif kind == 3:
            request.inputs["clips"].CopyFrom(self._bad_tensor())
        elif kind == 4:
            request.inputs["clips"].CopyFrom(proto(self.clips(1)))
            request.model_spec.signature_name = self._odd_signature()
        elif kind == 5:
            request.inputs["clips"].CopyFrom(proto(self.clips(1)))
            request.model_spec.name = self._odd_name()
        elif kind == 6:
            request.inputs["clips"].CopyFrom(proto(self.clips(1)))
            request.model_spec.version.value = int(self.rng.integers(99, 1e9))
        elif kind == 7:
            for name in ["images", "clips", ""][: self.rng.integers(0, 4)]:
                request.inputs[name].CopyFrom(proto(self.clips(1)))
            if list(request.inputs) == ["clips"]:
                del request.inputs["clips"]
        elif kind == 8:
            request.inputs["clips"].CopyFrom(proto(self.clips(1)))
            request.output_filter.append("secret")
        else:
            return b"\xff" + self.rng.bytes(int(self.rng.integers(0, 500)))
        return request.SerializeToString(deterministic=True)

    def _bad_tensor(self) -> tensor_pb2.TensorProto:
        """A tensor that contradicts itself."""
        tensor = proto(self.clips(1))
        kind = self.rng.integers(6)
        if kind == 0:
            tensor.tensor_content = tensor.tensor_content[:-1]
        elif kind == 1:
            tensor.tensor_content += b"\0" * 99
        elif kind == 2:  # memory for the asking
            tensor.tensor_content, tensor.int_val[:] = b"", [1]
            tensor.tensor_shape.dim[0].size = 1 << 40
        elif kind == 3:
            tensor.tensor_shape.dim[0].size = -int(self.rng.integers(1, 9))
        elif kind == 4:
            tensor.tensor_shape.unknown_rank = True
            del tensor.tensor_shape.dim[:]
        else:
            tensor.dtype = int(self.rng.choice([0, 20, 21, 99, 104]))
        return tensor

    def bad_rest(self) -> tuple[str, str, bytes]:
        """A method, path and body for REST that are wrong."""
        path = f"/v1/models/{self.name}:predict"
        kind = self.rng.integers(9)
        if kind < 3:
            signature, name, array = self.bad_array(typed=False)
            body = {
                "signature_name": signature,
                "inputs": {name: to_json(array)},
            }
        elif kind == 3:
            key = ["inputs", "instances"][self.rng.integers(2)]
            body = {key: JUNK[self.rng.integers(len(JUNK))]}
        elif kind == 4:
            body = {
                "signature_name": self._odd_signature(),
                "inputs": {"clips": self.clips(1).tolist()},
            }
        elif kind == 5:
            whole = json.dumps({"inputs": self.clips(1).tolist()})
            return "POST", path, whole[: -self.rng.integers(1, 900)].encode()
        elif kind == 6:
            return "POST", path, self.rng.bytes(int(self.rng.integers(0, 500)))
        elif kind == 7:
            depth = int(self.rng.integers(2, 100_000))
            return "POST", path, b'{"inputs":' + b"[" * depth
        else:
            paths = ["/", "/v1/models", f"{path}x", "/v1/models/no:predict"]
            path = paths[self.rng.integers(len(paths))]
            return ["GET", "POST"][self.rng.integers(2)], path, b"{}"
        return "POST", path, json.dumps(body).encode()

    def _odd_signature(self) -> str:
        return ODD_NAMES[self.rng.integers(1, len(ODD_NAMES))]

    def _odd_name(self) -> str:
        return ODD_NAMES[self.rng.integers(len(ODD_NAMES))]


def row(files: list[bytes]) -> np.ndarray:
    row = np.empty((1, len(files)), object)
    row[0] = files
    return row


def _with_size(png: bytes, side: int) -> bytes:
    """A PNG that says that it is larger, with the checksum of that."""
    size = side.to_bytes(4, "big")
    chunk = b"IHDR" + size + size + png[24:29]
    check = zlib.crc32(chunk).to_bytes(4, "big")
    return png[:12] + chunk + check + png[33:60]


def _constant(array: np.ndarray) -> tf.Tensor:
    dtype = tf.string if array.dtype == np.object_ else None
    return tf.constant(array, dtype)


def proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    dtype = tf.string if array.dtype == np.object_ else None
    return tf.make_tensor_proto(array, dtype, array.shape)


def to_json(array: np.ndarray):
    def plain(value):
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, bytes):
            return {"b64": base64.b64encode(value).decode()}
        return value

    return plain(array.tolist())
