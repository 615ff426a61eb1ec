"""Text drawn on images: positions, overlaps and cut letters."""

import contextlib
import itertools


@contextlib.contextmanager
def recorded(monkeypatch):
    """Collect (image, image size, rectangle, text) of each text drawn."""
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
    """Assert that texts are inside their image and do not overlap."""
    for _, (width, height), (left, top, right, bottom), text in texts:
        assert 0 <= left and 0 <= top, text
        assert right <= width and bottom <= height, text
    for first, second in itertools.combinations(texts, 2):
        if first[0] is second[0]:
            assert not overlap(first[2], second[2]), (first[3], second[3])


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
