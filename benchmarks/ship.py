"""Make the weights that deepmat ships of a training run's:

    python -m benchmarks.ship runs/lite/best.safetensors --trained "on what, how long"

in half precision, with what they are beside them; prints the checksum for docs/lite.md.
"""

from pathlib import Path
from typing import Annotated

import typer

from deepmat.checkpoint import load_weights, save_weights
from deepmat.models import SHIPPED
from deepmat.weights import sha256


def main(
    weights: Annotated[Path, typer.Argument(help="best.safetensors of a run.")],
    trained: Annotated[str, typer.Option(help="Data, recipe and samples, in a line.")],
    name: Annotated[str, typer.Option(help=f"Which of {', '.join(SHIPPED)}.")] = "lite",
) -> None:
    """Write deepmat/models/NAME.safetensors."""
    loaded = load_weights(weights)
    if not loaded.about:
        raise SystemExit(f"{weights}: is not a run's best.safetensors, which says what it is")
    half = {key: value.half() for key, value in loaded.state.items()}
    if not all(value.isfinite().all() for value in half.values()):
        raise SystemExit(f"{weights}: holds numbers that half precision cannot")
    save_weights(SHIPPED[name], half, loaded.about["model"], name=name, licence="MIT", trained=trained)
    print(f"{sha256(SHIPPED[name])}  {SHIPPED[name].name}  {SHIPPED[name].stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
