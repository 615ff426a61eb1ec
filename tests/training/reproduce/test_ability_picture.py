import io

import numpy as np
import pytest

from tests.attention.plots import rendered_text
from training.data.ability_config import ABILITIES
from training.io import cli
from training.recipes import abilities
from training.reproduce import ability_picture, ability_table

Image = pytest.importorskip("PIL.Image")
CELLS = {  # accuracies of the runs of a cell
    ("abilities_c2d", "appearance"): (1.0, 0.98),
    ("abilities_i3d", "motion"): (0.75,),
    ("abilities_nl1", "two_hops"): (0.4,),
}


@pytest.fixture(scope="module")
def results():
    return {
        ability_table.Cell(*cell).name: [
            {"accuracy": accuracy, "examples": 100} for accuracy in accuracies
        ]
        for cell, accuracies in CELLS.items()
    }


@pytest.fixture(scope="module")
def pixels(results):
    return np.asarray(ability_picture.draw(results))


@pytest.fixture(scope="module")
def texts(results):
    """Rectangle and text of all that is written."""
    with (
        pytest.MonkeyPatch.context() as patch,
        rendered_text.recorded(patch) as recorded,
    ):
        ability_picture.draw(results)
    rendered_text.check(recorded)
    return [(box, text) for _, _, box, text in recorded]


def box_of(recipe, ability):
    row = list(abilities.NETWORKS).index(recipe)
    return ability_picture.layout().cell(row, ABILITIES.index(ability))


def fill(pixels, box):
    """The colour of a cell, away from its frame and number."""
    left, top, _, _ = box
    inset = ability_picture.SCALE * ability_picture.FILL_PX
    return tuple(pixels[top + inset + 1, left + inset + 1])


def texts_within(texts, box):
    """The texts whose middle is in a rectangle."""
    left, top, right, bottom = box
    return [
        text
        for (x0, y0, x1, y1), text in texts
        if left < (x0 + x1) / 2 < right and top < (y0 + y1) / 2 < bottom
    ]


def is_framed(pixels, box):
    left, top, right, bottom = box
    margin = ability_picture.SCALE * ability_picture.FILL_PX
    row = pixels[(top + bottom) // 2, left : left + margin]
    column = pixels[bottom - margin : bottom, (left + right) // 2]
    dark = [bool((line.max(axis=-1) < 64).any()) for line in (row, column)]
    assert dark[0] == dark[1]
    return dark[0]


def test_cells_have_the_colour_of_their_accuracy(pixels):
    light, middle, dark = ability_picture.COLOURS
    expected = {
        ("abilities_c2d", "appearance"): np.add(dark, (2, 2, 1)),  # of 99 %
        ("abilities_i3d", "motion"): middle,
        ("abilities_nl1", "two_hops"): light,
    }
    for name in abilities.NETWORKS:
        for ability in ABILITIES:
            drawn = fill(pixels, box_of(name, ability))
            colour = expected.get((name, ability), ability_picture.GREY)
            np.testing.assert_allclose(drawn, colour, atol=3)


def test_cells_that_should_see_have_a_frame(pixels):
    for name in abilities.NETWORKS:
        for ability in ABILITIES:
            least, _ = ability_table.expected(name, ability)
            framed = is_framed(pixels, box_of(name, ability))
            assert framed == (least >= 0.9), (name, ability)


def test_numbers_are_the_means_in_whole_per_cent(texts):
    percent = {
        ("abilities_c2d", "appearance"): "99",
        ("abilities_i3d", "motion"): "75",
        ("abilities_nl1", "two_hops"): "40",
    }
    for name in abilities.NETWORKS:
        for ability in ABILITIES:
            box = box_of(name, ability)
            expected = percent.get((name, ability), "not run")
            assert texts_within(texts, box) == [expected]


def test_rows_and_columns_have_their_names(texts):
    scale = ability_picture.SCALE
    for name, (label, *_) in abilities.NETWORKS.items():
        left, top, _, bottom = box_of(name, ABILITIES[0])
        assert texts_within(texts, (0, top, left, bottom)) == [label]
    for ability in ABILITIES:
        left, top, right, _ = box_of(next(iter(abilities.NETWORKS)), ability)
        head = left, top - scale * ability_picture.HEAD_PX, right, top
        assert texts_within(texts, head) == [ability]


def test_a_darker_colour_is_a_higher_accuracy():
    """So the order of cells is seen without hues too, and so are numbers."""
    shares = np.linspace(0.5, 1, 51)
    colours = np.array([ability_picture.colour(share) for share in shares])
    linear = ((colours / 255 + 0.055) / 1.055) ** 2.4
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) < 0).all()
    for colour, own in zip(colours, luminance, strict=True):
        other = float(ability_picture.ink(colour) == ability_picture.WHITE)
        high, low = max(own, other), min(own, other)
        assert (high + 0.05) / (low + 0.05) > 4  # WCAG: 3 for large text


def test_bytes_are_reproducible_and_have_the_numbers_as_text(results):
    content = ability_picture.png(results)
    assert content == ability_picture.png(results)
    image = Image.open(io.BytesIO(content))
    image.load()
    np.testing.assert_array_equal(image, ability_picture.draw(results))
    assert 1600 <= image.width <= 2000  # twice what README shows
    text = image.text[ability_picture.DESCRIPTION]
    head, c2d, *_ = text.splitlines()
    assert head.split() == list(ABILITIES)
    assert c2d.split() == ["C2D", "99*", *["not", "run"] * 7]


def test_the_command_writes_the_picture_of_a_folder(tmp_path):
    out = tmp_path / "drawn.png"
    arguments = [f"--results={tmp_path}", f"--out={out}"]
    assert cli.run(ability_picture.main, arguments) == 0
    assert out.read_bytes() == ability_picture.png({})


def test_the_picture_in_the_repository_shows_the_results():
    results = ability_table.read_results()
    advice = f"run {ability_picture.EXAMPLE}"
    assert ability_picture.OUT.exists() == bool(results), advice
    if results:
        image = Image.open(ability_picture.OUT)
        image.load()
        text = image.text[ability_picture.DESCRIPTION]
        assert text == ability_picture.describe(results), advice
