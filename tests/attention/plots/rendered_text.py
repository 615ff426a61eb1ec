"""Where text is written on pictures, to look for overlaps and cut letters."""

import contextlib
import itertools


@contextlib.contextmanager
def recorded(monkeypatch):
    """Collects (picture, its size, rectangle, text) of each text written."""
    from PIL import ImageDraw

    texts = []
    draw_text = ImageDraw.ImageDraw.text

    def text(self, xy, text, *args, font=None, anchor=None, **options):
        size = options.get("font_size")
        box = self.textbbox(xy, text, font, anchor, font_size=size)
        texts.append((self.im, self.im.size, box, text))
        draw_text(self, xy, text, *args, font=font, anchor=anchor, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ImageDraw.ImageDraw, "text", text)
        yield texts


def check(texts):
    """All is inside its picture, and no text lies over another."""
    for _, (width, height), (left, top, right, bottom), text in texts:
        assert 0 <= left and 0 <= top, text
        assert right <= width and bottom <= height, text
    for one, other in itertools.combinations(texts, 2):
        if one[0] is other[0]:
            assert not overlap(one[2], other[2]), (one[3], other[3])


def overlap(one, other):
    return (
        one[0] < other[2]
        and other[0] < one[2]
        and one[1] < other[3]
        and other[1] < one[3]
    )
