"""Coverage of the 95 % confidence intervals by the number of foregrounds: `python -m benchmarks.coverage`."""

import numpy as np
import typer

from deepmat.scoring.significance import interval

ROUNDS = 1000


def main() -> None:
    """Print the share of intervals that contain the true mean, for two distributions."""
    rng = np.random.default_rng(0)
    draws = {
        "normal": (lambda n: rng.normal(10, 3, n), 10.0),
        "lognormal": (lambda n: rng.lognormal(0, 1, n), np.exp(0.5)),
    }
    for number in (4, 8, 20, 50):
        shares = []
        for name, (draw, mean) in draws.items():
            intervals = [interval(draw(number), range(number)) for _ in range(ROUNDS)]
            shares.append(f"{name} {np.mean([low <= mean <= high for low, high in intervals]):.2f}")
        print(f"{number:3d} foregrounds: {', '.join(shares)}")


if __name__ == "__main__":
    typer.run(main)
