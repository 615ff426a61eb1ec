"""Tables of Markdown."""

from training.io import tables


def test_markdown_has_a_rule_after_the_head():
    assert tables.markdown([("a", "b"), (1, "")]).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1 | |",
    ]


def test_markdown_escapes_bars():
    assert tables.markdown([("a|b", "c")]).startswith("| a\\|b | c |")
