import re

from training.recipes import catalogue, get_recipe
from training.recipes.schema import RECIPES


def test_every_recipe_is_listed_once():
    lines = catalogue.catalogue().splitlines()
    names = [line.split()[0] for line in lines if re.match(r"  \w", line)]
    assert sorted(names) == sorted(RECIPES)


def test_lines_are_readable():
    assert max(map(len, catalogue.catalogue().splitlines())) <= 110


def test_a_row_says_its_number_its_tables_and_what_it_takes():
    lines = catalogue.catalogue().splitlines()
    position = next(
        i for i, x in enumerate(lines) if "k400_c2d_nl5_r101_32x2" in x
    )
    for fact in ("75.1 / 91.7 %", "8 GPUs, 8 clips each", "about 46 h"):
        assert fact in lines[position]
    assert lines[position + 1].strip() == (
        "tables 2c, 2d, 2e: R101 5 blocks; R101 spacetime; NL C2D"
    )


def test_groups_come_from_small_to_large():
    text = catalogue.catalogue()
    headings = re.findall(r"^(\S.*):$", text, re.M)
    assert headings[0].startswith("Recall on handwritten digits")
    assert headings[1:3] == [
        "Which network sees what, on generated clips",
        "Your own videos",
    ]
    assert headings[3:10] == [f"Kinetics-400, table 2{c}" for c in "abcdefg"]
    assert headings[-4:] == [
        "Charades, table 4",
        "Detection",
        "Detection, table 5",
        "Detection, table 6",
    ]


def test_a_detector_has_its_published_precision():
    text = catalogue.catalogue()
    assert "39.0 61.1 41.9" in text and "66.5 87.3 72.8" in text


def test_a_recipe_of_another_module_is_listed_too(monkeypatch):
    def mine():
        return get_recipe("finetune")

    monkeypatch.setitem(RECIPES, "mine", mine)
    assert catalogue.OTHERS in catalogue.catalogue()
