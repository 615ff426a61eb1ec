"""Tables of Markdown."""

from training import table


def test_markdown_has_a_rule_after_the_head():
    assert table.markdown([("a", "b"), (1, "")]).splitlines() == [
        "| a | b |",
        "|---|---|",
        "| 1 | |",
    ]


def test_markdown_escapes_bars():
    assert table.markdown([("a|b", "c")]).startswith("| a\\|b | c |")
