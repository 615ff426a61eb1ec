"""Any JSON value or Tensor is an array of its type, or a known error."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("shape", [[-1], [2, -1], [1] * 70, [2**62, 4]])
def test_invalid_shapes_are_refused(clients, shape):
    import serving_messages

    tensor = serving_messages.message("Tensor", dtype=1)
    tensor.float_val.extend([0.5, 0.25])
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError):
        serving_messages.to_array(tensor)


def test_numbers_beyond_their_type_are_refused(clients):
    import serving_messages

    tensor = serving_messages.message("Tensor", dtype=4, int_val=[300])
    tensor.tensor_shape.dim.add(size=1)
    with pytest.raises(ValueError):
        serving_messages.to_array(tensor)


NUMBERS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
)
ANY_JSON = st.recursive(
    NUMBERS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["b64", "x"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(ANY_JSON, st.sampled_from(["DT_FLOAT", "DT_UINT8", "DT_STRING"]))
def test_json_is_an_array_of_its_type_or_a_known_error(value, dtype):
    import serving_base
    import serving_rest

    try:
        array = serving_rest.from_json(value, dtype)
    except serving_rest.INVALID_RESPONSE:
        return
    assert array.dtype == serving_base.DTYPES[dtype]


@settings(deadline=None)
@given(
    st.sampled_from([1, 3, 4, 7, 9, 10, 22]),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    st.binary(max_size=16),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
)
def test_tensor_is_an_array_of_its_shape_or_a_value_error(
    dtype, shape, content, values
):
    import serving_messages

    tensor = serving_messages.message(
        "Tensor", dtype=dtype, tensor_content=content, int_val=values
    )
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    try:
        array = serving_messages.to_array(tensor)
    except ValueError:
        return
    assert list(array.shape) == shape


@pytest.mark.full
def test_mutated_responses_are_results_or_one_line_errors(clients):
    from tests.savedmodels import fuzz_clients

    # 5220 printed a warning: a number too large for its type.
    for first, count in ((0, 1500), (5220, 1)):
        ended = fuzz_clients.run(first, count, seconds=600)
        assert ended.total() == count
