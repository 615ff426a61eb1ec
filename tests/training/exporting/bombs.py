"""Small images whose headers claim gigabytes of pixels."""

import io
import struct

import numpy as np
from PIL import Image


def encoded(kind, height=5, width=7, **options):
    file = io.BytesIO()
    pixels = np.zeros((height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def huge_jpeg():
    """Make a JPEG of some hundred bytes that claims 13,300 x 13,300 pixels."""
    content = bytearray(encoded("JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 13_300, 13_300)
    return bytes(content)


def huge_png():
    content = bytearray(encoded("PNG"))
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    return bytes(content)


def huge_bmp():
    content = bytearray(encoded("BMP"))
    content[18:26] = struct.pack("<ii", 30_000, -30_000)
    return bytes(content)


def huge_gif():
    content = bytearray(encoded("GIF"))
    content[6:10] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)
