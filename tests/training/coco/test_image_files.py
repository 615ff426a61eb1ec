"""Reading of image files, and checks of them."""

import os

import numpy as np
import pytest

from training.coco import exif_orientation, image_files
from training.coco.annotations import AnnotatedImage
from training.io import paths
from training.io.user_error import UserError

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")


def photo(mode="RGB"):
    pixels = np.zeros((24, 40, 3), "uint8")
    pixels[:, :20] = (200, 30, 60)
    pixels[:12, 20:] = (20, 180, 90)
    return Image.fromarray(pixels).convert(mode)


def save(image, path, **options):
    image.save(path, **options)
    return paths.as_path(str(path))


def exif_of(orientation):
    exif = Image.Exif()
    exif[exif_orientation.ORIENTATION] = orientation
    return exif


def test_a_photo_is_turned_to_its_exif_orientation(tmp_path):
    path = save(photo(), tmp_path / "a.jpg", exif=exif_of(6), quality=95)
    with Image.open(str(path)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(image_files.read(path), expected)


def test_a_size_without_rotation_names_the_orientation(tmp_path):
    path = save(photo(), tmp_path / "a.jpg", exif=exif_of(6))
    stored, upright, other = (
        AnnotatedImage(1, path, height, width, ())
        for height, width in ((24, 40), (40, 24), (25, 40))
    )
    fault = image_files.size_fault(stored, (40, 24))
    assert "has 24 x 40 pixels, not 40 x 24" in fault
    assert "EXIF orientation is 6" in fault
    assert "EXIF" not in image_files.size_fault(other, (40, 24))
    assert image_files.size_fault(upright, (40, 24)) == ""


@pytest.mark.parametrize(
    ("scale", "message"), [(4, "nearly black: it has 16 bits"), (64, "")]
)
def test_12_bits_in_16_have_a_remark(tmp_path, scale, message):
    levels = np.arange(24 * 40, dtype="uint16").reshape(24, 40)
    path = save(Image.fromarray(levels * scale), tmp_path / "a.png")
    remark = image_files.remark(path, image_files.read(path))
    assert message in remark and bool(message) == bool(remark)


def test_black_images_of_8_bits_have_no_remark(tmp_path):
    path = save(Image.new("RGB", (4, 3)), tmp_path / "a.png")
    assert image_files.remark(path, image_files.read(path)) == ""


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "L"), ("a.png", "RGBA"), ("a.bmp", "RGB")],
)
def test_images_of_other_modes_become_rgb(tmp_path, name, mode):
    path = save(photo(mode), tmp_path / name)
    expected = np.asarray(photo(mode).convert("RGB"))
    np.testing.assert_array_equal(image_files.read(path), expected)


def test_a_grey_jpeg_has_three_equal_channels(tmp_path):
    pixels = image_files.read(save(photo("L"), tmp_path / "a.jpg"))
    assert pixels.shape == (24, 40, 3)
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0x"])
def test_an_error_names_a_damaged_image(tmp_path, content):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.jpg is damaged"):
        image_files.read(paths.as_path(str(path)))


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg cannot be read: .* FIFO"):
        image_files.read(paths.as_path(str(tmp_path / "a.jpg")))


def test_an_error_names_a_missing_image(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        image_files.read(paths.as_path(str(tmp_path / "none.jpg")))
