import math

import pytest

from training.io.user_error import UserError
from training.recipes import field_values, get_recipe, overrides


def set_on(recipe, field, text):
    """The value of a field after `--set field=text`."""
    value = overrides.override(recipe, [f"{field}={text}"])
    for name in field.split("."):
        value = getattr(value, name)
    return value


VIDEOS = {
    "sampling.flip": [
        (False, "false False FALSE 0 no No off OFF f n 'false' \"False\""),
        (True, "true True TRUE 1 yes YES on t y"),
    ],
    "training.deterministic": [(True, "true 1 yes"), (False, "false 0 no")],
    "model.nonlocal_block.tie_theta_phi_init": [
        (None, "null None none NULL NONE"),
        (True, "true"),
        (False, "FALSE"),
    ],
    "batch": [(8, "8 8.0 +8 08 8e0 '8' 0x8"), (1000, "1_000 1e3")],
    "model.width": [(None, "none null"), (16, "16 16.0")],
    "model.nonlocal_block.scale": [
        ("rsqrt", "rsqrt 'rsqrt'"),
        (None, "none"),
        (2.0, "2 2.0 +2"),
    ],
    "optimizer.base_lr": [(0.001, "1e-3 .001 1E-3 +0.001 0.001"), (1.0, "1")],
    "optimizer.clip_norm": [
        (math.inf, "inf Infinity +inf INF"),
        (None, "null None"),
        (40.0, "40"),
    ],
    "optimizer.drops_at_steps": [
        ((), "[] () none null None"),
    ],
    "model.nonlocal_block.norm": [
        ("none", "none 'none' \"none\""),
        (None, "None null"),
        ("batch", "batch"),
    ],
    "data.train": [
        (None, "none None null NULL"),
        ("none", "'none' \"none\""),
        ("a.csv", "a.csv 'a.csv'"),
    ],
    "data.root": [("none", "none"), ("2024", "2024"), ("True", "True")],
    "data": [(None, "none null")],
}
DETECTION = {
    "detector.aligned": [(True, "true 1 on"), (False, "FALSE 0 off")],
    "detector.nonlocal_block": [(None, "null none"), ({}, "{}")],
    "detector.group_width": [(None, "none null NULL")],
    "images.canvas_px": [
        ((320, 640), "320,640 [320,640] (320,640) 320.0,640 [320,640,]")
    ],
    "images.short_sides_px": [((480,), "480 [480] (480,) 480,")],
    "detector.mask_channels": [((), "[] ()"), ((8, 4), "8,4 [8,4]")],
    "sampling.anchor_iou_thresholds": [((0.25, 1.0), "0.25,1 [.25,1.0]")],
    "start.scratch": [(True, "yes true"), (False, "no false 0")],
    "start.weights": [(None, "null none None")],
}


def _cases(fields):
    return [
        (field, text, value)
        for field, values in fields.items()
        for value, texts in values
        for text in texts.split()
    ]


@pytest.mark.parametrize(("field", "text", "value"), _cases(VIDEOS))
def test_spellings_for_videos(field, text, value):
    read = set_on(get_recipe("finetune"), field, text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(("field", "text", "value"), _cases(DETECTION))
def test_spellings_for_detectors(field, text, value):
    read = set_on(get_recipe("small"), field, text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer.clip_norm", None),
        ("optimizer.drops_at_steps", ()),
        ("data.train", None),
        ("data.root", ""),
        ("views", None),
    ],
)
def test_nothing_is_none_or_empty(field, value):
    assert set_on(get_recipe("finetune"), field, "") == value


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("batch", " 8 ", 8),
        ("sampling.flip", " False", False),
        ("sampling.frame_stride", "AUTO", "auto"),
        ("sampling.frame_stride", "'Auto'", "auto"),
        ("sampling.frame_stride", "'8'", 8),
        ("model.nonlocal_block.scale", '"0.5"', 0.5),
        ("model.name", " i3d_small ", "i3d_small"),
        ("data.separator", " ", " "),
        ("data.separator", r'"\t"', "\t"),
        ("data.root", "my videos", "my videos"),
        ("data.root", r"'C:\data'", r"C:\data"),
        ("data.root", "it's", "it's"),
        ("data.root", "[a, b]", "[a, b]"),
    ],
)
def test_spaces_and_quotes(field, text, value):
    assert set_on(get_recipe("finetune"), field, text) == value


def test_spaces_around_a_field():
    recipe = overrides.override(get_recipe("finetune"), ["batch = 6"])
    assert recipe.batch == 6


@pytest.mark.parametrize("text", ["3,5", "[3, 5]", "(3, 5)", "3,5,", " 3 , 5"])
def test_lists_of_steps(text):
    recipe = overrides.override(
        get_recipe("finetune"),
        ["optimizer.schedule=steps", f"optimizer.drops_at_steps={text}"],
    )
    assert recipe.optimizer.drops_at_steps == (3, 5)


@pytest.mark.parametrize(
    "text",
    [
        '{"fps": 30, "flip": true}',
        "{'fps': 30.0, 'flip': True}",
        "{fps: 30, flip: yes}",
    ],
)
def test_braces_set_the_fields_in_them(text):
    before = get_recipe("finetune")
    after = overrides.override(before, [f"sampling={text}"])
    assert overrides.differences(before, after) == [
        f"sampling.fps: {before.sampling.fps}, 30.0",
        "sampling.flip: False, True",
    ]


def test_braces_hold_dictionaries_and_lists():
    text = '{"subsample": [1, 2, 2], "norm": null, "use": {"x": "none, 1"}}'
    read = set_on(get_recipe("small"), "detector.nonlocal_block", text)
    assert read == {
        "subsample": [1, 2, 2],
        "norm": None,
        "use": {"x": "none, 1"},
    }


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("none", ()),
        ("[]", ()),
        ("conv1", ("conv1",)),
        ("conv1, res2", ("conv1", "res2")),
        ("['conv1', \"res2\"]", ("conv1", "res2")),
    ],
)
def test_frozen_parts(text, parts):
    start = set_on(get_recipe("small"), "start", f"{{frozen: {text!r}}}")
    assert start.frozen_parts == parts


def test_settings_of_a_detector_are_checked_together():
    # Either alone is refused: groups need a width, which needs groups.
    recipe = overrides.override(
        get_recipe("small"),
        ["detector.groups=2", "detector.group_width=4"],
    )
    assert (recipe.detector.groups, recipe.detector.group_width) == (2, 4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sampling.flip=maybe", r"true or false \(also yes, no"),
        ("sampling.flip=", "true or false"),
        ("sampling.flip=2", "true or false"),
        ("batch=true", "a whole number such as 8"),
        ("batch=8.5", "a whole number"),
        ("batch=100,200", "a whole number"),
        ("batch=inf", "a whole number"),
        ("batch=nan", "a whole number"),
        ("batch=", "a whole number"),
        ("model.width=wide", "a whole number such as 8, or none"),
        ("optimizer.base_lr=0,5", "a number such as 0.5 or 1e-3"),
        ("optimizer.base_lr=nan", "a number"),
        ("optimizer.base_lr=1/2", "a number"),
        ("optimizer.base_lr=none", "a number"),
        ("optimizer.drops_at_steps=1,,2", r"800,800 or \[800, 800\], or none"),
        ("optimizer.drops_at_steps=(1,2", "whole numbers"),
        ("training.class_weights=x", r"0.5\], or balanced, or none \("),
        ("optimizer.drops_at_steps=1.5", "whole numbers"),
        ("optimizer=none", r"\{...\} with fields of base_lr"),
        ("sampling={fps}", r"\{...\} with fields of frames"),
        ("sampling={fbs: 3}", "Did you mean 'fps'"),
        ("views=true", "or none"),
    ],
)
def test_errors_name_what_is_accepted(setting, message):
    with pytest.raises(UserError, match=f"In --set.*{message}"):
        overrides.override(get_recipe("finetune"), [setting])


@pytest.mark.parametrize(
    "value",
    ["", "a", "none", "NULL", " ", "\t", "'a'", 'b"c', "ä/b", True, None],
)
def test_what_is_written_is_read(value):
    text = field_values.write(value)
    assert field_values.read(text, bool | str | None) == value


def test_json_of_a_recipe_is_read_strictly():
    text = overrides.to_json(get_recipe("finetune"))
    spelt = text.replace("false", "False")
    assert spelt != text
    with pytest.raises(UserError, match="Not a recipe"):
        overrides.from_json(spelt)


@pytest.mark.parametrize("text", ["1" + "0" * 400, "1e400", "1e300", "-1e10"])
@pytest.mark.parametrize("hint", [int, tuple[int, ...]])
def test_a_whole_number_has_32_bits(text, hint):
    with pytest.raises((ValueError, OverflowError)):
        field_values.read(text, hint)


def test_a_value_fits_its_hint():
    assert field_values.fits((3, 4), tuple[int, ...])
    assert field_values.fits(3, float) and field_values.fits(None, int | None)
    assert field_values.fits({"a": 1}, dict | None)
    for value, hint in (
        (True, int),
        (1, bool),
        (2**31, int),
        (10**400, float),
        ([3], tuple[int, ...]),
        ((3, "4"), tuple[int, ...]),
        ((3,), tuple[int, int]),
        ("a", int | None),
    ):
        assert not field_values.fits(value, hint), (value, hint)
