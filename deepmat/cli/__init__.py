"""The command line: each command is a thin shell around a public function. Its import loads no torch."""

import errno
import functools
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Annotated, Any, NamedTuple

import typer

from deepmat import __version__
from deepmat.cli.margins import with_margins
from deepmat.cli.style import STYLE
from deepmat.errors import DeepmatError


class Command(NamedTuple):
    """A command."""

    place: str
    """Module of deepmat.cli and function in it, "eval.evaluate"."""
    help: str
    """First line of the function's docstring, for `deepmat --help`."""


COMMANDS = {
    "cut": Command("cut.cut", "Find the subjects of photos and cut them out."),
    "serve": Command("serve.serve", "Serve a page to cut pictures out by hand, and the same over HTTP."),
    "synth": Command("synth.synth", "Draw a procedural, licence-free data set."),
    "composite": Command("composite.composite", "Composite foregrounds over backgrounds: build a data set."),
    "data": Command("data.data", "Look at training data."),
    "doctor": Command("doctor.doctor", "Check a data folder, and report what to fix and how."),
    "convert-vgg": Command("convert_vgg.convert_vgg", "Make the first weights of Deep Image Matting from VGG16."),
    "import": Command("import_.import_weights", "Convert another tool's weights to deepmat's format."),
    "export": Command("export.export", "Write a network as an ONNX file."),
    "push": Command("push.push", "Push weights to the hub, with a model card."),
    "info": Command("info.info", "Show what is in a weights file."),
    "trimap": Command("trimap.trimap", "Make trimaps from alphas or masks."),
    "train": Command("train.train", "Train: deepmat train --stage 1 --data DATA"),
    "runs": Command("runs.runs", "Compare training runs: scores, losses, speed."),
    "eval": Command("eval.evaluate", "Score weights or saved mattes."),
    "predict": Command("predict.predict", "Cut pictures out: image + trimap -> alpha."),
}


def _with_addresses(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that gets addresses (s3://bucket/key) as such: pathlib, by which Typer reads them, drops a /."""

    @functools.wraps(command)
    def run(**options: Any) -> Any:
        from deepmat.runtime.storage import addressed

        def read(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(map(read, value))
            return addressed(value) if isinstance(value, PurePath) else value

        return command(**{name: read(value) for name, value in options.items()})

    return run


class _Command(typer.core.TyperCommand):
    """A command, whose --crop may stand without a margin."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_margins(args))


class _Commands(Mapping[str, Any]):
    """The commands as Typer takes them. The module of one is imported when it is asked for."""

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __getitem__(self, name: str) -> Any:
        module, _, function = COMMANDS[name].place.partition(".")
        command = getattr(importlib.import_module(f"deepmat.cli.{module}"), function)
        if not isinstance(command, typer.Typer):
            alone = typer.Typer(**STYLE)
            alone.command(name, cls=_Command)(_with_addresses(command))
            command = alone
        return typer.main.get_command(command)


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a file that takes no more data."""


def _show(message: str) -> None:
    from deepmat.cli.options import plain, stderr

    lines = "\n".join(map(plain, f"error: {message}".splitlines()))
    stderr().print(lines, style="red", highlight=False, markup=False, soft_wrap=True)


def _explained(error: OSError) -> str:
    if error.filename is None:
        return f"the output cannot be written ({error.strerror}); free space or send it elsewhere"
    return f"{os.fsdecode(error.filename)}: {error.strerror}; check the path and its permissions"


class _Group(typer.core.TyperGroup):
    """The commands. Errors that a user can fix, those of files included, become one message and exit code 1."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by COMMANDS alone, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])

    def invoke(self, ctx: Any) -> Any:
        from deepmat.cli.options import say

        if isinstance(sys.stdout, io.TextIOWrapper):  # names can hold characters that its encoding lacks
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except DeepmatError as error:
            _show(str(error))
            raise typer.Exit(1) from error
        except OSError as error:
            if error.filename is None and error.errno not in FULL:
                raise
            _show(_explained(error))
            raise typer.Exit(1) from error
        except typer.BadParameter as error:
            if mistakes := getattr(error.__cause__, "errors", None):  # Typer passes on pydantic's words
                from deepmat.config.mistakes import word

                error.message = word(mistakes()[0])
            raise
        except KeyboardInterrupt as error:
            say("interrupted")
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_Group,
    help="Image matting: build data sets, train, score and cut out.",
    no_args_is_help=True,
    **STYLE,
)


def _version(asked: bool) -> None:
    if asked:
        print(f"deepmat {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line on the arguments of the process."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on odd metadata; the process is the command's own
    if sys.argv[1:2] != ["train"]:
        # Threads of OpenMP that wait for work would spin, and take the cores from NNPACK's, with which networks
        # predict. Read as torch is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # What ends a job of a machine ends it as Ctrl-C does: with what is done, and how to go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code: Any = None
    try:
        try:
            app()
        except SystemExit as ended:
            code = ended.code
        if sys.stdout:  # none where it was closed before the start
            sys.stdout.flush()
    except OSError as error:  # also from the help, which is printed outside of a command
        if error.errno not in (*FULL, errno.EPIPE):
            raise
        if not code and error.errno != errno.EPIPE:
            _show(_explained(error))
        code = code or 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it again at its end
    sys.exit(code)
