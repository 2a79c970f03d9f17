"""How each Typer of the command line is built."""

from typing import Any

STYLE: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}
