"""Protocol buffers of TensorFlow Serving's API, without generated code.

The message classes are built at first use from field names and numbers, so that
neither TensorFlow nor generated code of a certain protobuf version is needed.
They are in a descriptor pool of their own, so that a process may import
TensorFlow too.
"""

import functools
import math
from typing import Any

import numpy as np
import serving_limits

PACKAGE = "nonlocal_client"
# Number and type of each field; "x*" is repeated, "x{}" a map from strings.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
    },
    "Dim": {"size": (1, "int64")},
    "TensorShape": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "string_val": (8, "bytes*"),
        "int64_val": (10, "int64*"),
        "bool_val": (11, "bool*"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "Tensor{}"),
        "output_filter": (3, "string*"),
    },
    "PredictResponse": {
        "outputs": (1, "Tensor{}"),
        "model_spec": (2, "ModelSpec"),
    },
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int32"),
        "tensor_shape": (3, "TensorShape"),
    },
    "SignatureDef": {
        "inputs": (1, "TensorInfo{}"),
        "outputs": (2, "TensorInfo{}"),
        "method_name": (3, "string"),
    },
    "SignatureDefMap": {"signature_def": (1, "SignatureDef{}")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "GetModelMetadataRequest": {
        "model_spec": (1, "ModelSpec"),
        "metadata_field": (2, "string*"),
    },
    "GetModelMetadataResponse": {
        "model_spec": (1, "ModelSpec"),
        "metadata": (2, "Any{}"),
    },
}
# Limit of the rule "the last value repeats": a few bytes could fill any memory.
MAX_REPEATED = 1 << 24
# By TensorFlow's number of a type: its name, NumPy type and field of values.
TYPES: dict[int, tuple[str, Any, str]] = {
    1: ("DT_FLOAT", np.float32, "float_val"),
    2: ("DT_DOUBLE", np.float64, "double_val"),
    3: ("DT_INT32", np.int32, "int_val"),
    4: ("DT_UINT8", np.uint8, "int_val"),
    7: ("DT_STRING", np.object_, "string_val"),
    9: ("DT_INT64", np.int64, "int64_val"),
    10: ("DT_BOOL", np.bool_, "bool_val"),
}


def message(name: str, **fields):
    """Create a message of `MESSAGES`."""
    return _types()[name](**fields)


def parse(name: str, content: bytes):
    """Parse a message.

    Raises:
        ValueError: the bytes are not such a message, or have too many fields.
    """
    from google.protobuf.message import DecodeError

    try:
        serving_limits.check(MESSAGES, name, content)
    except ValueError as error:
        raise ValueError(f"no {name}: {error}") from error

    try:
        return _types()[name].FromString(content)
    except DecodeError as error:
        raise ValueError(f"not a {name}: {error}") from error


def to_tensor(array: np.ndarray):
    """Convert an array to a Tensor; strings are an object array of bytes.

    Raises:
        TypeError: the dtype is unsupported.
    """
    tensor = message("Tensor", dtype=_number(array.dtype))
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if array.dtype == np.object_:
        tensor.string_val.extend(array.ravel())
    else:
        little = array.dtype.newbyteorder("<")
        tensor.tensor_content = array.astype(little).tobytes()
    return tensor


def to_array(tensor) -> np.ndarray:
    """Convert a Tensor to an array, from either of its two forms.

    Raises:
        ValueError: the type is unsupported, the number of values contradicts
            the shape, or the shape is too large for a repeated value.
    """
    if tensor.dtype not in TYPES:
        raise ValueError(f"unsupported type {tensor.dtype}")
    _, dtype, field = TYPES[tensor.dtype]
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if min(shape, default=0) < 0 or tensor.tensor_shape.unknown_rank:
        raise ValueError(f"invalid shape {shape}")
    count = math.prod(shape)
    if tensor.tensor_content:
        little = np.dtype(dtype).newbyteorder("<")
        values = np.frombuffer(tensor.tensor_content, little).astype(dtype)
    else:
        stored = getattr(tensor, field)
        try:
            values = np.fromiter(stored, dtype, len(stored))
        except OverflowError as error:
            raise ValueError(str(error)) from error
        if 0 < len(values) < count:  # the last value repeats
            if count > MAX_REPEATED:
                raise ValueError(f"{shape} is too large for repeated values")
            rest = np.repeat(values[-1:], count - len(values))
            values = np.concatenate([values, rest])
    return values.reshape(shape)


def _number(dtype: np.dtype) -> int:
    for number, (_, numpy_type, _) in TYPES.items():
        if dtype == numpy_type:
            return number
    names = ", ".join(name for name, _, _ in TYPES.values())
    raise TypeError(f"expected one of {names}; received {dtype}")


@functools.cache
def _types() -> dict[str, Any]:
    """Build the classes of all messages, by name."""
    from google.protobuf import (
        descriptor_pb2,
        descriptor_pool,
        message_factory,
    )

    file = descriptor_pb2.FileDescriptorProto(
        name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        _describe(file.message_type.add(name=name), fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{PACKAGE}.{name}")
        )
        for name in MESSAGES
    }


def _describe(description, fields: dict[str, tuple[int, str]]) -> None:
    """Add fields to the descriptor of a message."""
    for name, (number, kind) in fields.items():
        plain = kind.rstrip("*{}")
        field = description.field.add(name=name, number=number)
        field.label = field.LABEL_OPTIONAL
        if kind.endswith("*"):
            field.label = field.LABEL_REPEATED
        if kind.endswith("{}"):
            # A map is encoded as a list of messages of a key and a value.
            entry = description.nested_type.add(name=_entry_name(name))
            entry.options.map_entry = True
            _describe(entry, {"key": (1, "string"), "value": (2, plain)})
            field.label = field.LABEL_REPEATED
            field.type = field.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{description.name}.{entry.name}"
        elif plain in MESSAGES:
            field.type = field.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{plain}"
        else:
            field.type = field.Type.Value(f"TYPE_{plain.upper()}")


def _entry_name(field: str) -> str:
    """Return protobuf's name for the entries of a map."""
    return "".join(part.title() for part in field.split("_")) + "Entry"
