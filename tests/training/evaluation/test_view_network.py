import pytest

from nonlocal_tf import create_model
from training.evaluation import view_network


def test_weights_go_to_layers_of_the_same_names_only():
    one = create_model("c2d_small", num_classes=3)
    other = create_model("c2d_nl1_small", num_classes=3)
    with pytest.raises(ValueError, match="stage2_nonlocal"):
        view_network.copy_weights(other, one)
