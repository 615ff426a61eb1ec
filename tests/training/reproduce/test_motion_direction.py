"""Direction of motion, which C2D sees with blocks that know positions."""

import json

import numpy as np
import pytest

from training.reproduce import motion_direction


def test_the_classes_are_each_others_reversals():
    clips, labels = motion_direction.moving_squares(7, 0)
    column = (clips[:, 0, ..., 0] > 0.5).argmax(-1).max(-1)
    last = (clips[:, -1, ..., 0] > 0.5).argmax(-1).max(-1)
    assert set(labels) == {0, 1}
    np.testing.assert_array_equal(last - column, np.where(labels, 10, -10))


# By default, tests/models/test_frame_order.py tests which networks could.
@pytest.mark.full
def test_c2d_sees_the_direction_of_motion_with_positions_alone():
    # Chance is exact but for ties, whose logits differ by rounding.
    without = motion_direction.train(None, 0, steps=50)
    assert abs(motion_direction.accuracy(without, 0) - 0.5) < 0.05
    model = motion_direction.train("sine", 0)
    assert motion_direction.accuracy(model, 0) >= 0.95


def test_finished_runs_are_skipped_and_all_are_in_the_table(
    tmp_path, monkeypatch
):
    def run(position, seed):
        calls.append((position, seed))
        if len(calls) == 9:
            raise KeyboardInterrupt
        right = 0.5 if position is None else (1 + seed) / 4
        about = {"machine": "a machine", "commit": 40 * "7"}
        row = {"accuracy": right, "train_seconds": 5.0, "versions": about}
        return {"position": position, "seed": seed, **row}

    calls = []
    monkeypatch.setattr(motion_direction, "run", run)
    with pytest.raises(KeyboardInterrupt):
        motion_direction.main([str(tmp_path)])
    motion_direction.main([str(tmp_path)])
    assert len(calls) == 10 and calls[8:] == [("learned", 2)] * 2
    rows = json.loads((tmp_path / motion_direction.RESULTS).read_text())
    assert [(row["position"], row["seed"]) for row in rows] == calls[:9]
    table = "\n".join(motion_direction.section(tmp_path))
    assert "25.0 % (0), 50.0 % (1), 75.0 % (2) | 50.0 %" in table
