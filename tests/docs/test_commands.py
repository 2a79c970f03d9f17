"""Every command and option that the documentation names exists; every command line parses."""

import re
from pathlib import Path

import pytest
import typer
import yaml
from doc_pages import DOCS, PAGES, ROOT, commands, deepmat_arguments, inline_code, section

from deepmat import config
from deepmat.cli import app

APP = typer.main.get_command(app)
FOREIGN = {
    "--torch-backend",
    "--nproc-per-node",
    "--nnodes",
    "--rdzv-backend",
    "--rdzv-endpoint",
    "--multi_gpu",
    "--num_processes",
    "--shm-size",
}
OPTION = re.compile(r"(?<![\w-])(--?[a-z][\w-]*)")


def leaves(command=APP, name=""):
    """("data show", its command) of every command."""
    if not hasattr(command, "commands"):
        return {name: command}
    return {key: leaf for part, sub in command.commands.items() for key, leaf in leaves(sub, f"{name} {part}").items()}


LEAVES = {name.strip(): command for name, command in leaves().items()}


def options(command):
    """The option strings of a command."""
    names = {"--help"}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            names |= {*parameter.opts, *parameter.secondary_opts}
    return names


def parse(arguments):
    """Parse a command line without running it. Returns the values of its parameters; raises click's UsageError."""
    command, rest = APP, list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in command.commands, f"no command {name!r}"
        command = command.commands[name]
    try:
        return command.make_context("deepmat", rest).params
    except typer.Exit as end:  # --help, --version
        assert end.exit_code == 0
        return {}


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_command_lines_parse(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for arguments in commands(page):
        values = parse(arguments)
        settings = next((value for key, value in values.items() if key in ("set", "settings", "overrides")), None)
        config.load(overrides=settings or ())
        for stage in filter(None, str(values.get("stage") or "").split(",")):
            assert Path(ROOT, "configs", f"stage{stage}.yaml").is_file()
        for kind, folder in (("config", "configs"), ("recipe", "configs/recipe"), ("augment", "configs/augment")):
            name = values.get(kind)
            assert not name or Path(ROOT, folder, f"{name}.yaml").is_file() or "/" in str(name), (arguments, kind)


def test_the_main_pages_have_command_lines():
    counts = {page.name: len(commands(page)) for page in PAGES}
    assert counts["cli.md"] > 40 and counts["README.md"] > 10 and counts["lite.md"] > 10 and counts["scores.md"] > 5


def test_a_wrong_command_line_is_found():
    for line in ("deepmat predcit a -o b", "deepmat predict a -o b --colour own", "deepmat predict a"):
        with pytest.raises(Exception, match=r"predcit|--colour|out"):
            parse(deepmat_arguments(line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_in_the_text_exist(page):
    everywhere = set().union(*map(options, LEAVES.values())) | FOREIGN | {"--version"}
    for code in inline_code(page):
        name = next((name for name in LEAVES if re.match(rf"(deepmat )?{name}( |$)", code)), None)
        if code.startswith("deepmat ") and code != "deepmat --help" and not code.startswith("deepmat COMMAND"):
            assert name or code in ("deepmat --version", "deepmat data"), f"{page.name}: {code}"
        known = options(LEAVES[name]) if name else everywhere
        if page.name == "migrating.md" and not name:
            continue  # its first column has the other tool's options
        if name or code.startswith("-"):
            for option in OPTION.findall(code):
                assert option in known, f"{page.name}: `{code}`"


@pytest.mark.parametrize("name", LEAVES)
def test_each_command_has_a_section_with_all_its_options(name):
    text = section(DOCS / "cli.md", f"## deepmat {name}")
    if "#options-of-networks" in text and "plus the" in text:
        text += section(DOCS / "cli.md", "### Options of networks")
    first_columns = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    documented = {option for column in first_columns for option in OPTION.findall(column)}
    assert options(LEAVES[name]) - {"--help"} <= documented, "options without a line in docs/cli.md"
    assert documented <= options(LEAVES[name]), "lines in docs/cli.md without an option"


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/**/*.yaml")), ids=lambda path: path.stem)
def test_each_config_opens_with_a_command_that_parses(path):
    arguments = deepmat_arguments(path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "))
    assert arguments and arguments[0] == "train" and parse(arguments)
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_tables_of_names_are_complete():
    """The kinds of output, modes, protocols and losses of the documentation are those of the code."""
    from deepmat.inference.modes import MODES
    from deepmat.inference.outputs import OUTPUTS
    from deepmat.scoring.metrics import METRICS
    from deepmat.scoring.protocols import PROTOCOLS
    from deepmat.synth import KINDS
    from deepmat.training.losses import LOSSES

    cli = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name, output in OUTPUTS.items():
        row = next(line for line in cli.splitlines() if line.startswith(f"| `{name}` |"))
        files = row.split("|")[3]
        assert re.findall(r"`(\.\w+)`", files) == list(output.suffixes), row
    assert all(f"| `{name}` |" in cli for name in MODES)
    scores = (DOCS / "scores.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in scores for name in PROTOCOLS)
    assert all(name in scores.lower() for name in METRICS)
    training = (DOCS / "training.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in training for name in LOSSES)
    text = section(DOCS / "cli.md", "## deepmat synth").lower().replace("\n", " ")
    assert all(name in text for name in KINDS)


def test_every_step_of_augmentation_is_described():
    rows = [line for line in section(DOCS / "data.md", "## Augmentation").splitlines() if line.startswith("| `")]
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    steps = list(config.AugmentConfig.model_fields)
    assert described[-len(steps) :] == steps, "in the order in which they are applied"
