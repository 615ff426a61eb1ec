"""A graph turns pictures as Python does."""

import io

import numpy as np
import pytest
import tensorflow as tf

from training.coco import exif_orientation, images
from training.io import remote

Image = pytest.importorskip("PIL.Image")
GRAPH = tf.function(
    exif_orientation.orientation,
    [tf.TensorSpec((), tf.string)],
    autograph=False,
)


SMALL_TIFF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"


def jpeg(orientation, more=(), kind="JPEG"):
    pixels = np.zeros((16, 24, 3), "uint8")
    pixels[:8, :8] = 255
    exif = Image.Exif()
    for tag, value in more:
        exif[tag] = value
    exif[images.ORIENTATION] = orientation
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, exif=exif)
    return content.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        "JPEG",
        "PNG",
        pytest.param(
            "WEBP",
            marks=pytest.mark.skipif(
                not hasattr(tf.io, "decode_webp"),
                reason="this TensorFlow reads no WebP",
            ),
        ),
    ],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_notes_say(tmp_path, kind, orientation):
    content = jpeg(orientation, [(0x010F, "a maker")], kind)
    assert int(GRAPH(content)) == orientation
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    expected = images.read(remote.as_path(str(path)))
    np.testing.assert_array_equal(exif_orientation.decode(content), expected)


def test_both_orders_of_bytes_are_read():
    big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    for tiff in (SMALL_TIFF, big):
        notes = b"Exif\0\0" + tiff
        size = (len(notes) + 2).to_bytes(2, "big")
        content = b"\xff\xd8\xff\xe1" + size + notes
        assert images.orientation(content) == 6
        assert int(GRAPH(content)) == 6


@pytest.mark.parametrize(
    ("kind", "mark"),
    [("JPEG", b"Exif\0\0"), ("PNG", b"eXIf"), ("WEBP", b"EXIF")],
)
def test_notes_that_are_cut_off_or_wrong_are_as_in_python(kind, mark):
    whole = jpeg(6, [(0x010F, "x")], kind)
    start = whole.index(mark)
    random = np.random.default_rng(0)
    cases = [whole[:length] for length in range(start, start + 45)]
    cases += [b"", b"\xff\xd8", b"no picture", b"\xff\xd8\xff\xff\xff"]
    cases += [whole[:2] + b"\xff\xff" + whole[2:]]
    for _ in range(200):
        changed = bytearray(whole[: start + 60])
        first = 2 if kind == "JPEG" else start - 4
        changed[random.integers(first, len(changed))] = random.integers(256)
        cases.append(bytes(changed))
    for content in cases:
        assert int(GRAPH(content)) == images.orientation(content), content


def test_other_kinds_are_not_turned():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), "uint8")
    content = tf.io.encode_png(pixels).numpy()
    np.testing.assert_array_equal(exif_orientation.decode(content), pixels)


def test_files_of_endless_parts_are_not_looked_through():
    chunk = b"\0\0\0\0none\0\0\0\0"
    exif = b"\0\0\0\x1aeXIf" + SMALL_TIFF
    for count, expected in ((images.PARTS, 6), (images.PARTS + 1, 1)):
        content = images.PNG + chunk * count + exif
        assert images.orientation(content) == expected
    assert int(GRAPH(content)) == 1
