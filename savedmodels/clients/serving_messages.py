"""The messages of TensorFlow Serving's API that a client needs.

They are built when they are first asked for, from the names and numbers of
their fields, which is what the wire format consists of. So neither TensorFlow
nor generated code is needed, whose version protobuf would hold against it; and
as the types are in a pool of their own, a process may have TensorFlow too.
"""

import functools
import math
from typing import Any

import numpy as np

PACKAGE = "nonlocal_client"
# Field: its number and type; "x*" is repeated, "x{}" a map from strings.
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
# Else a few bytes, of which "the last value repeats", fill any memory.
MAX_REPEATED = 1 << 24
# TensorFlow's number of a type: its name, NumPy's type and where values are.
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
    """A new message of one of `MESSAGES`."""
    return _types()[name](**fields)


def parse(name: str, content: bytes):
    """The message that these bytes are.

    Raises:
        ValueError: they are none.
    """
    from google.protobuf.message import DecodeError

    try:
        return _types()[name].FromString(content)
    except DecodeError as error:
        raise ValueError(f"no {name}: {error}") from error


def to_tensor(array: np.ndarray):
    """A Tensor of an array; strings are an object array of bytes.

    Raises:
        TypeError: there is no such type in a request here.
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
    """The array that a Tensor holds, in either of its two forms.

    Raises:
        ValueError: it is of a type that is not known here, or holds another
            number of values than its shape says; or the shape is too large
            for the one value that is repeated.
    """
    if tensor.dtype not in TYPES:
        raise ValueError(f"the type {tensor.dtype} is not known here")
    _, dtype, field = TYPES[tensor.dtype]
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if min(shape, default=0) < 0 or tensor.tensor_shape.unknown_rank:
        raise ValueError(f"an array has no shape {shape}")
    count = math.prod(shape)
    if tensor.tensor_content:
        little = np.dtype(dtype).newbyteorder("<")
        values = np.frombuffer(tensor.tensor_content, little).astype(dtype)
    else:
        try:
            values = np.array(list(getattr(tensor, field)), dtype)
        except OverflowError as error:
            raise ValueError(str(error)) from error
        if 0 < len(values) < count:  # the last of them stands for the rest
            if count > MAX_REPEATED:
                raise ValueError(f"{shape} is too large for one value")
            rest = np.repeat(values[-1:], count - len(values))
            values = np.concatenate([values, rest])
    return values.reshape(shape)


def _number(dtype: np.dtype) -> int:
    for number, (_, known, _) in TYPES.items():
        if dtype == known:
            return number
    names = ", ".join(name for name, _, _ in TYPES.values())
    raise TypeError(f"expected one of {names}; received {dtype}")


@functools.cache
def _types() -> dict[str, Any]:
    """The classes of all messages, by name."""
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


def _describe(made, fields: dict[str, tuple[int, str]]) -> None:
    """Adds fields to the description of a message."""
    for name, (number, kind) in fields.items():
        plain = kind.rstrip("*{}")
        field = made.field.add(name=name, number=number)
        field.label = field.LABEL_OPTIONAL
        if kind.endswith("*"):
            field.label = field.LABEL_REPEATED
        if kind.endswith("{}"):
            # On the wire a map is a list of messages of a key and a value.
            entry = made.nested_type.add(name=_entry_name(name))
            entry.options.map_entry = True
            _describe(entry, {"key": (1, "string"), "value": (2, plain)})
            field.label = field.LABEL_REPEATED
            field.type = field.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{made.name}.{entry.name}"
        elif plain in MESSAGES:
            field.type = field.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{plain}"
        else:
            field.type = field.Type.Value(f"TYPE_{plain.upper()}")


def _entry_name(field: str) -> str:
    """The name that protobuf asks of a map's entries."""
    return "".join(part.title() for part in field.split("_")) + "Entry"
