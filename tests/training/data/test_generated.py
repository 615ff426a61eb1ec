import numpy as np

from training.data import generated


def test_place_pastes_at_the_corner():
    patches = np.arange(1, 19, dtype="float32").reshape(1, 2, 3, 3)
    corners = np.array([[[5, 7], [29, 0]]], "int32")
    placed = generated.place(patches, corners, 32, 31).numpy()
    expected = np.zeros((1, 2, 32, 31), "float32")
    expected[0, 0, 5:8, 7:10] = patches[0, 0]
    expected[0, 1, 29:32, 0:3] = patches[0, 1]
    np.testing.assert_array_equal(placed, expected)
