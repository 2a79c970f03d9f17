"""Make the weights that deepmat ships from those of a training run, or from the mean of several.

    python -m benchmarks.ship runs/lite/best.safetensors --trained "data, recipe, number of samples"
    python -m benchmarks.ship lite runs/lite/state-000002000.pt --share 1 --share 2 --trained "data, recipe, samples"

Weights are stored in half precision with their licence and training; the checksum for docs/lite.md is printed. --out
writes them to another file, to be scored first. Averaging weights of one initialisation: Wortsman et al., Model soups,
ICML 2022.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from deepmat.models import SHIPPED, find_weights
from deepmat.models.checkpoint import Weights, load_state, load_weights, save_weights
from deepmat.models.weights import sha256


def read(path: Path) -> Weights:
    """Return the weights in a file in float32; of a saved state, the moving average."""
    loaded = load_weights(find_weights(path))
    average = load_state(path).get("average") if path.suffix == ".pt" else None
    state = {key: value.float() for key, value in (average or loaded.state).items()}
    return loaded._replace(state=state)


def mean(weights: list[Weights], shares: list[float]) -> dict[str, torch.Tensor]:
    """Return the weighted mean of the weights."""
    total = sum(shares)
    return {
        key: sum(share / total * each.state[key] for share, each in zip(shares, weights, strict=True))
        for key in weights[0].state
    }


def main(
    weights: Annotated[list[Path], typer.Argument(help="best.safetensors of a run, lite, or a run's saved states.")],
    trained: Annotated[str, typer.Option(help="Data, recipe and number of samples, in one line.")],
    share: Annotated[
        list[float] | None, typer.Option(help="Weight of each file in the mean, in their order [equal].")
    ] = None,
    name: Annotated[str, typer.Option(help=f"Which of {', '.join(SHIPPED)}.")] = "lite",
    out: Annotated[Path | None, typer.Option(help="File to write [that of the package].")] = None,
) -> None:
    """Write deepmat/models/NAME.safetensors."""
    shares = share or [1.0] * len(weights)
    if len(shares) != len(weights):
        raise SystemExit(f"--share: {len(shares)} of them for {len(weights)} files; give one per file, or none")
    if min(shares) < 0 or not sum(shares):
        raise SystemExit(f"--share: {' '.join(map(str, shares))} is no mean; give numbers >= 0, one of them > 0")
    loaded = [read(path) for path in weights]
    for path, each in zip(weights, loaded, strict=True):
        if not each.about or each.about["model"] != loaded[0].about["model"]:
            raise SystemExit(f"{path}: is not of a deepmat run of the same network as {weights[0]}")
    half = {key: value.half() for key, value in mean(loaded, shares).items()}
    if not all(value.isfinite().all() for value in half.values()):
        raise SystemExit(f"{weights[0]}: has numbers that half precision cannot hold")
    out = out or SHIPPED[name]
    save_weights(out, half, loaded[0].about["model"], name=name, licence="MIT", trained=trained)
    print(f"{sha256(out)}  {out}  {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
