import keras
import numpy as np
import pytest

from nonlocal_tf.ops import _causal_spans
from tests.ops import reference

MASK = np.random.default_rng(0).random((2, 34)) < 0.5


@pytest.fixture(autouse=True)
def small_spans(monkeypatch):
    monkeypatch.setattr(_causal_spans, "MIN_QUERIES", 1)


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize(
    ("steps", "count"), [(1, 1), (2, 2), (17, 8), (None, 1)]
)
def test_spans_show_each_query_its_keys(steps, count, mask):
    visible = reference.visible_keys(68, 34, mask, steps)
    spans = _causal_spans.causal_spans(steps, 68, 34)
    assert len(spans) == count
    assert [span.first for span in spans[1:]] == [s.end for s in spans[:-1]]
    assert (spans[0].first, spans[-1].end) == (0, 68)
    for span in spans:
        expected = span.queries_of(visible).copy()
        keys = span.keys or 34
        assert not expected[:, :, keys:].any()
        shown = span.visible_keys(mask)
        shown = True if shown is None else keras.ops.convert_to_numpy(shown)
        np.testing.assert_array_equal(
            shown | np.zeros_like(expected[:, :, :keys]), expected[:, :, :keys]
        )


@pytest.mark.parametrize("steps", [8, 16])
def test_half_of_the_pairs_are_computed(steps):
    spans = _causal_spans.causal_spans(steps, 3136, 3136)
    pairs = sum((span.end - span.first) * span.keys for span in spans)
    assert pairs == 0.5625 * 3136**2


def test_small_groups_share_a_span(monkeypatch):
    monkeypatch.setattr(_causal_spans, "MIN_QUERIES", 20)
    ends = [span.end for span in _causal_spans.causal_spans(17, 68, 34)]
    assert ends == [20, 44, 68]
