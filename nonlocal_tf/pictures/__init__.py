"""Pictures, with Pillow (the extra `viz`)."""

from nonlocal_tf.pictures.base import (
    BACKGROUND,
    CAPTION_PX,
    LETTER_PX,
    TEXT,
    gif,
    joined,
    pillow,
    plain,
    sheet,
)
from nonlocal_tf.pictures.heat import heated
from nonlocal_tf.pictures.looks import STYLES, film, strip

__all__ = [
    "BACKGROUND",
    "CAPTION_PX",
    "LETTER_PX",
    "STYLES",
    "TEXT",
    "film",
    "gif",
    "heated",
    "joined",
    "pillow",
    "plain",
    "sheet",
    "strip",
]
