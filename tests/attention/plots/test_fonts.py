import pathlib

import numpy as np
import pytest

from nonlocal_tf.attention.plots import fonts

Image = pytest.importorskip("PIL.Image")
matplotlib = pytest.importorskip("matplotlib")
SIZE_PX = 21


def drawn(text):
    image = Image.new("L", (190, 40))
    draw = fonts.pillow()[1].Draw(image)
    fonts.write(draw, (3, 3), text, SIZE_PX, 255)
    return np.asarray(image)


def missing_glyph():
    """Draw the font's box for unsupported letters."""
    image = Image.new("L", (190, 40))
    font = fonts.load_font(fonts.dejavu(), SIZE_PX)
    fonts.pillow()[1].Draw(image).text((3, 3), "\u56fe", 255, font=font)
    return np.asarray(image)


@pytest.mark.parametrize("letter", ["ü", "ß", "Ж", "ő", "Ω", "م"])
def test_letters_of_other_scripts_are_drawn(letter):
    image = drawn(letter)
    assert image.any()
    assert (image != missing_glyph()).any()
    for spelling in ("u", "?", fonts.plain(letter)):
        assert (image != drawn(spelling)).any()


def test_a_letter_and_its_accent_are_drawn_as_one():
    np.testing.assert_array_equal(drawn("u\u0308ber"), drawn("\u00fcber"))


def test_unsupported_letters_are_written_as_code_points(monkeypatch):
    monkeypatch.setattr(fonts, "system_fonts", lambda: ())
    np.testing.assert_array_equal(drawn("a \u56fe"), drawn("a U+56FE"))
    np.testing.assert_array_equal(drawn("\ud800x"), drawn("U+D800x"))


def test_a_system_font_with_all_letters_is_used(monkeypatch):
    folder = pathlib.Path(matplotlib.get_data_path(), "fonts/ttf")
    math_font = folder / "STIXGeneral.ttf"
    letter = next(
        chr(point)
        for point in sorted(fonts.code_points(str(math_font)))
        if point not in fonts.code_points(fonts.dejavu())
    )
    paths = (str(folder / "cmr10.ttf"), str(math_font))
    monkeypatch.setattr(fonts, "system_fonts", lambda: paths)
    selected = fonts.typeset(f"a new {letter}")
    assert selected == (str(math_font), f"a new {letter}")


def test_an_unreadable_font_file_is_skipped(tmp_path):
    path = tmp_path / "broken.ttf"
    path.write_bytes(b"no font")
    assert fonts.code_points(str(path)) == frozenset()


def test_without_matplotlib_text_is_ascii(monkeypatch):
    monkeypatch.setattr(fonts, "dejavu", lambda: None)
    np.testing.assert_array_equal(drawn("Täter 日"), drawn("Tater U+65E5"))


def test_ascii_drops_accents_and_spells_other_letters():
    assert fonts.plain("Übung é naïve") == "Ubung e naive"
    assert fonts.plain("U\u0308bung") == "Ubung"
    assert fonts.plain("a 日本") == "a U+65E5U+672C"


def test_line_breaks_and_tabs_are_spaces():
    np.testing.assert_array_equal(drawn("a\nb\tc"), drawn("a b c"))


@pytest.mark.parametrize("room", [30, 57, 110])
@pytest.mark.parametrize("name", ["Übergrößenträgerin", "日本語日本語日本語"])
def test_long_text_is_shortened_with_an_ellipsis(name, room):
    short = fonts.shortened(name, room, SIZE_PX)
    assert fonts.text_width(short, SIZE_PX) <= room
    assert short.endswith("…") and name.startswith(short[:-1])


def test_fitting_text_is_kept_and_without_room_is_empty():
    width = fonts.text_width("walk", SIZE_PX)
    assert fonts.shortened("walk", width, SIZE_PX) == "walk"
    assert fonts.shortened("walk", 3, SIZE_PX) == ""
