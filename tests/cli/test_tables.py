import importlib
import re
from pathlib import Path

import pytest

from deepmat.cli import tables

COMMANDS = Path(tables.__file__).parent
USED = sorted(
    {
        found
        for path in COMMANDS.glob("*.py")
        for found in re.findall(r'(?:choice|names)\(\s*"([\w.]+)", "(\w+)"', path.read_text())
        if path.name != "tables.py"
    }
)


def test_commands_take_names_from_tables():
    assert {"MODES", "OUTPUTS", "METHODS", "PRECISIONS", "PROTOCOLS", "COMPOSITORS"} <= {table for _, table in USED}


@pytest.mark.parametrize(("module", "table"), USED)
def test_names_in_the_help_are_those_of_the_table(module, table):
    assert tables.names(module, table) == tuple(getattr(importlib.import_module(f"deepmat.{module}"), table))
    assert tables.choice(module, table, "none").startswith("none|")


def test_every_recipe_is_named():
    assert {"reference", "modern"} <= set(tables.recipes("augment").split("|"))


def test_a_table_that_is_not_there_is_our_own_bug():
    with pytest.raises(KeyError, match="inference.modes has no table MODS"):
        tables.names("inference.modes", "MODS")
