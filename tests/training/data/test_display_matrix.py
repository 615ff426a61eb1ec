"""Display matrices, against the filters of FFmpeg's own tools."""

import av
import numpy as np
import pytest

from tests.training.data import films, matrices
from training.data import display_matrix, video_decoder, video_index


def filtered(frame, names):
    """A frame as FFmpeg's filters turn and flip it, RGB."""
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        time_base=frame.time_base,
    )
    for name in (*names, "format=rgb24"):
        following = graph.add(*name.split("=", 1))
        last.link_to(following)
        last = following
    sink = graph.add("buffersink")
    last.link_to(sink)
    graph.configure()
    graph.push(frame)
    return graph.pull().to_ndarray()


@pytest.mark.parametrize("matrix", matrices.FILTERS)
def test_frames_are_those_of_ffmpegs_filters(tmp_path, matrix):
    clip = films.pictures(4)
    path = films.write_film(tmp_path / "a.mp4", clip, "libx264rgb", "rgb24")
    films.set_matrix(path, matrix)
    frames = list(films.frames_of(path))
    index = video_index.index_video(path)
    got = video_decoder.read_frames(path, [3], index)[0]
    expected = filtered(
        frames[3].reformat(format="rgb24"), matrices.FILTERS[matrix]
    )
    assert (index.height, index.width) == expected.shape[:2]
    np.testing.assert_array_equal(got, expected)


def test_matrix_between_quarter_turns_is_the_nearest():
    def matrix(*numbers):
        return display_matrix.MATRIX.pack(*numbers, 0, 0, 1 << 30)

    assert display_matrix.of_matrix(matrix(9, 4, 0, -4, 9, 0)) == (0, False)
    assert display_matrix.of_matrix(matrix(4, 9, 0, -9, 4, 0)) == (3, False)
    assert display_matrix.of_matrix(b"too short") == (0, False)
