"""Pictures, with Pillow and a font of matplotlib (the extra `viz`)."""

from nonlocal_tf.pictures.base import gif, joined, sheet
from nonlocal_tf.pictures.fonts import (
    pillow,
    plain,
    shortened,
    text_height,
    text_width,
    typeset,
    write,
)
from nonlocal_tf.pictures.heat import heated
from nonlocal_tf.pictures.looks import STYLES, film, strip

__all__ = [
    "STYLES",
    "film",
    "gif",
    "heated",
    "joined",
    "pillow",
    "plain",
    "sheet",
    "shortened",
    "strip",
    "text_height",
    "text_width",
    "typeset",
    "write",
]
