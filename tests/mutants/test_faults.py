"""The table of faults fits the code as it is."""

import ast
import pathlib

import pytest

from tests.mutants import faults

ROOT = pathlib.Path(__file__).parent.parent.parent
FAULTS = faults.read()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_is_a_change_of_code_that_is_there(fault):
    source = (ROOT / fault.file).read_text("utf-8")
    changed = fault.apply(source)
    assert (changed == source) == fault.is_control
    ast.parse(changed)
    assert fault.tests and all((ROOT / test).exists() for test in fault.tests)


def test_ids_are_unique():
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


def test_the_place_of_a_text_counts_from_0():
    fault = faults.Fault("x", "a.py", "", "a", "b", [], nth=1)
    assert fault.apply("a a a") == "a b a"
    with pytest.raises(ValueError, match="has no 'a'"):
        fault.apply("a")
