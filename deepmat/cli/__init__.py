"""The command line: each command is a thin shell around a public function. Its import loads no torch."""

import errno
import io
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from deepmat import __version__
from deepmat.cli.composite import composite
from deepmat.cli.convert_vgg import convert_vgg
from deepmat.cli.data import data
from deepmat.cli.doctor import doctor
from deepmat.cli.eval import evaluate
from deepmat.cli.import_ import import_weights
from deepmat.cli.info import info
from deepmat.cli.options import plain, say, stderr
from deepmat.cli.predict import predict
from deepmat.cli.runs import runs
from deepmat.cli.synth import synth
from deepmat.cli.train import train
from deepmat.cli.trimap import trimap
from deepmat.errors import DeepmatError

COMMANDS: dict[str, Callable[..., None] | typer.Typer] = {
    "synth": synth,
    "composite": composite,
    "data": data,
    "doctor": doctor,
    "convert-vgg": convert_vgg,
    "import": import_weights,
    "info": info,
    "trimap": trimap,
    "train": train,
    "runs": runs,
    "eval": evaluate,
    "predict": predict,
}


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a file that takes no more data."""


def _show(message: str) -> None:
    lines = "\n".join(map(plain, f"error: {message}".splitlines()))
    stderr().print(lines, style="red", highlight=False, markup=False, soft_wrap=True)


def _explained(error: OSError) -> str:
    if error.filename is None:
        return f"the output cannot be written ({error.strerror}); free space or send it elsewhere"
    return f"{os.fsdecode(error.filename)}: {error.strerror}; check the path and its permissions"


class _Group(typer.core.TyperGroup):
    """The commands. Errors that a user can fix, those of files included, become one message and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
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
        except KeyboardInterrupt as error:
            say("interrupted")
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_Group,
    help="Image matting: build data sets, train, score and cut out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
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


for _name, _command in COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)


def main() -> None:
    """Run the command line on the arguments of the process."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on odd metadata; the process is the command's own
    code: Any = None
    try:
        try:
            app()
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
    except OSError as error:  # also from the help, which is printed outside of a command
        if error.errno not in (*FULL, errno.EPIPE):
            raise
        if not code and error.errno != errno.EPIPE:
            _show(_explained(error))
        code = code or 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it again at its end
    sys.exit(code)
