import pytest

from training.data import class_name_warnings


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["turn left", "walk"], ["turn left"]),
        (["SwipeRight", "swipe_left_02"], ["SwipeRight", "swipe_left_02"]),
        (["rotate counterclockwise"], ["rotate counterclockwise"]),
        (["Rechtskurve", "geradeaus"], ["Rechtskurve"]),
        (["tourner à gauche", "向左"], ["tourner à gauche", "向左"]),
        (["wave_L", "wave_R", "clap"], ["wave_L", "wave_R"]),
        (["spin cw", "spin ccw"], ["spin cw", "spin ccw"]),
        (["class_l", "class_m"], []),  # without a mirror image
        (["bright light", "cleft", "up", "down"], []),
    ],
)
def test_classes_with_a_side_are_found(classes, expected):
    assert class_name_warnings.sided(classes) == expected


def test_note_names_some_classes_and_the_setting():
    note = class_name_warnings.flip_note(
        [f"left {number}" for number in range(5)]
    )
    assert "(left 0, left 1, left 2 and 2 more)" in note
    assert "--set sampling.flip=false" in note


def test_classes_without_a_side_need_no_note():
    assert class_name_warnings.flip_note(["jump", "walk"]) == ""


@pytest.mark.parametrize(
    ("classes", "pair"),
    [
        (["opening a door", "walk", "ClosingADoor"], ("opening", "Closing")),
        (["sit", "thumbs up", "thumbs_down"], ("thumbs up", "thumbs_down")),
        (["stand up", "sit down"], ("stand up", "sit down")),
        (["Tür o\u0308ffnen", "schließen"], ("ffnen", "schließen")),
    ],
)
def test_classes_that_are_each_other_backwards_are_noted(classes, pair):
    note = class_name_warnings.order_note(classes)
    assert all(name in note for name in pair) and "c2d_*" in note


@pytest.mark.parametrize(
    "classes", [["jump", "walk"], ["open", "clap"], ["pick up and put"]]
)
def test_other_classes_need_no_note_of_order(classes):
    assert class_name_warnings.order_note(classes) == ""
    assert class_name_warnings.reversal_note(classes) == ""
