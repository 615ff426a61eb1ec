"""Texts of a figure of matplotlib, to look for overlaps and cut letters."""

import itertools


def drawn(figure, monkeypatch):
    """((left, bottom, right, top), letters) of each text that is drawn."""
    from matplotlib.text import Text

    boxes = []
    draw_text = Text.draw

    def draw(self, renderer):
        if self.get_visible() and self.get_text():
            box = self.get_window_extent(renderer).extents
            boxes.append((box, self.get_text()))
        draw_text(self, renderer)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", draw)
        figure.draw_without_rendering()
    return boxes


def check_apart(texts):
    """No text lies over another."""
    for (first, letters), (other, further_letters) in itertools.combinations(
        texts, 2
    ):
        assert (
            first[2] <= other[0]
            or other[2] <= first[0]
            or first[3] <= other[1]
            or other[3] <= first[1]
        ), (letters, further_letters)
