"""Responses that would expand a hundredfold are not parsed."""

import numpy as np
import pytest

# Tags of fields: outputs of a response, value of an entry of them, and of a
# tensor its shape and integers.
OUTPUT, VALUE, SHAPE, INTEGERS = b"\x0a", b"\x12", b"\x12", b"\x52"
MANY = 200_000


@pytest.fixture
def messages(clients):
    import serving_messages

    return serving_messages


def nested(content, *tags):
    """A message of one field in one field, the innermost tag last."""
    for tag in reversed(tags):
        length, digits = len(content), b""
        while length >= 0x80:
            digits += bytes([length & 0x7F | 0x80])
            length >>= 7
        content = tag + digits + bytes([length]) + content
    return content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param((OUTPUT + b"\0") * MANY, id="outputs"),
        pytest.param(
            nested(b"\x12\0" * MANY, OUTPUT, VALUE, SHAPE), id="sizes"
        ),
        pytest.param(
            nested(b"\1" * 2**25, OUTPUT, VALUE, INTEGERS), id="integers"
        ),
        pytest.param(b"\x7a\0" * MANY, id="unknown"),
        pytest.param(b"\x7b\x7c", id="groups"),
        pytest.param(b"\xff" * 20, id="no number"),
        pytest.param(b"\x80", id="cut off"),
    ],
)
def test_too_many_fields_are_refused_before_parsing(
    messages, monkeypatch, content
):
    def types():
        raise AssertionError("the message is parsed")

    monkeypatch.setattr(messages, "_types", types)
    with pytest.raises(ValueError, match="no PredictResponse"):
        messages.parse("PredictResponse", content)


def test_a_large_array_is_one_field(messages):
    array = np.arange(300_000, dtype=np.float32).reshape(1000, 300)
    response = messages.message("PredictResponse")
    response.outputs["a"].CopyFrom(messages.to_tensor(array))
    values = response.outputs["b"]
    values.dtype = 9
    values.int64_val.extend(range(300_000))
    values.tensor_shape.dim.add(size=300_000)
    parsed = messages.parse("PredictResponse", response.SerializeToString())
    np.testing.assert_array_equal(messages.to_array(parsed.outputs["a"]), array)
    assert messages.to_array(parsed.outputs["b"])[-1] == 299_999
