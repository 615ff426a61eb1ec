import json

import pytest

from training.io import cli
from training.io.user_error import UserError
from training.recipes import abilities, shown_abilities
from training.reproduce import ability_picture, ability_summary, ability_table

MAKE_ANEW = f"run {ability_summary.EXAMPLE}"


def results_of(*runs):
    """Results by cell, of (recipe, ability, accuracy, examples)."""
    results = {}
    for recipe, ability, accuracy, examples in runs:
        run = {"accuracy": accuracy, "examples": examples}
        cell = ability_table.Cell(recipe, ability).name
        results.setdefault(cell, []).append(run)
    return results


RESULTS = results_of(
    ("abilities_i3d", "motion", 0.5, 10),
    ("abilities_i3d", "motion", 86 / 90, 90),
    ("abilities_i3d", "long", 0.75, 8),
    ("abilities_i3d", "all", 1.0, 8),  # a mixture, which is not listed
    ("abilities_nl1", "far_both", 0.5, 2),
)


def rows(table):
    lines = table.splitlines()[2:]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return {row[2].strip("`"): row for row in cells}


def test_the_files_of_the_repository_are_what_the_results_say():
    results = ability_table.read_results()
    stored = shown_abilities.PATH.read_text("utf-8")
    assert stored == ability_summary.stored(results), MAKE_ANEW
    page = ability_summary.PAGE.read_text("utf-8")
    assert page == ability_summary.with_table(page, results), MAKE_ANEW


def test_an_ability_is_seen_from_the_mean_of_all_clips():
    # Of motion 91 of 100; the mean of the runs' accuracies is below 90 %.
    shown = json.loads(ability_summary.stored(RESULTS))
    assert shown["least_accuracy"] == ability_table.SEEN
    assert shown["recipes"] == {
        "abilities_nl1": {"saw": [], "did not see": ["far_both"]},
        "abilities_i3d": {"saw": ["motion"], "did not see": ["long"]},
    }


@pytest.mark.parametrize(("correct", "saw"), [(9, True), (8, False)])
def test_the_least_accuracy_counts_as_seen(correct, saw):
    results = results_of(("abilities_c2d", "appearance", correct / 10, 10))
    shown = json.loads(ability_summary.stored(results))["recipes"]
    assert ("appearance" in shown["abilities_c2d"]["saw"]) == saw


def test_every_recipe_has_a_row_on_the_page():
    table = rows(ability_summary.table(RESULTS))
    assert list(table) == list(abilities.NETWORKS)
    label, network, _, saw = table["abilities_i3d"]
    assert (label, network) == ("I3D", "`i3d_local_small`")
    assert saw.startswith("motion; not run: appearance, far_space")
    assert table["abilities_nl1"][3].startswith("none; not run: appearance")
    assert table["abilities_c2d"][3] == "not run"


def test_only_the_table_of_the_page_is_replaced():
    begin, end = ability_summary.BEGIN, ability_summary.END
    page = ability_summary.with_table(f"a\n{begin}old\n{end}b\n", RESULTS)
    table = ability_summary.table(RESULTS)
    assert page == f"a\n{begin}\n{table}\n{end}b\n"
    assert ability_summary.with_table(page, RESULTS) == page


@pytest.mark.parametrize("page", ["", ability_summary.BEGIN])
def test_a_page_without_a_place_for_the_table_is_refused(page):
    with pytest.raises(UserError, match="generated"):
        ability_summary.with_table(page, RESULTS)


def test_the_command_writes_all_that_shows_the_results(monkeypatch, tmp_path):
    pytest.importorskip("PIL")
    paths = {
        (shown_abilities, "PATH"): tmp_path / "shown.json",
        (ability_summary, "PAGE"): tmp_path / "page.md",
        (ability_picture, "OUT"): tmp_path / "drawn.png",
    }
    for place, path in paths.items():
        monkeypatch.setattr(*place, path)
    stored, page, drawn = paths.values()
    page.write_text(ability_summary.BEGIN + ability_summary.END)
    for results in ({}, RESULTS):
        monkeypatch.setattr(ability_table, "read_results", lambda r=results: r)
        assert cli.run(ability_summary.main, []) == 0
        assert stored.read_text() == ability_summary.stored(results)
        assert ability_summary.table(results) in page.read_text()
        assert drawn.exists() == bool(results)
    assert drawn.read_bytes() == ability_picture.png(RESULTS)
