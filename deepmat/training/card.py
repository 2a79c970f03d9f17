"""The model card of pushed weights: README.md of a model of the hub."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import yaml

from deepmat import __version__
from deepmat.config import Config
from deepmat.runtime import hub
from deepmat.scoring.protocols import DEFAULT
from deepmat.scoring.records import Summary, format_score, title
from deepmat.training.origins import BEGAN, Origin, said

IDENTIFIERS = frozenset(
    [
        *(
            "mit",
            "apache-2.0",
            "unlicense",
            "bsd",
            "bsd-2-clause",
            "bsd-3-clause",
            "isc",
            "mpl-2.0",
            "zlib",
            "openrail",
        ),
        *("gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "agpl-3.0"),
        *("cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
        *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    ]
)
"""Licences by the names that the hub has for them; others are "other" there, with a name of their own."""
NO_LICENCE = "Not stated. Ask whoever made the weights before you use them."


class Content(NamedTuple):
    """What a card tells."""

    model: str
    """USER/NAME."""
    network: str
    """In words."""
    licence: str | None
    origins: Sequence[Origin]
    about: Mapping[str, Any]
    """What the weights file says of itself."""
    sha256: str
    """Of the weights file that was pushed."""
    config: Config | None
    """Of the run, if the weights are of one."""
    tested: Mapping[str, Any]
    """The run's record of the test of these weights; {} without one."""
    evaluation: Sequence[str]
    """Lines of `evaluation`; none without scores of `deepmat eval`."""


def write(content: Content) -> str:
    """The text of a card. Of paths in the config it shows the last part alone."""
    metadata = yaml.safe_dump(_metadata(content), sort_keys=False, allow_unicode=True)
    return f"---\n{metadata}---\n\n" + "\n".join(_body(content)) + "\n"


def _metadata(content: Content) -> dict[str, Any]:
    values: dict[str, Any] = {"library_name": "deepmat", "tags": ["image-matting", "alpha-matting"]}
    if content.licence and content.licence.lower() in IDENTIFIERS:
        values["license"] = content.licence.lower()
    elif content.licence:
        values |= {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", content.licence.lower())[:60]}
    if bases := [each.model for each in content.origins if each.model]:
        values["base_model"] = bases[0] if len(bases) == 1 else bases
    return values | ({BEGAN: said([*content.origins])} if content.origins else {})


def _body(content: Content) -> Iterator[str]:
    yield f"# {content.model.partition('/')[2]}\n"
    yield f"{content.network}, for image matting: the alpha of a photo and its trimap."
    yield f"Weights of deepmat {__version__}.\n"
    yield "```bash\npip install 'deepmat[hub]'"
    yield f"deepmat predict photos -t trimaps -o out -w {content.model}\n```\n"
    yield f"## Licence\n\n{content.licence or NO_LICENCE}\n"
    if content.origins:
        yield "Training began with these weights, the nearest first. Their licences may bind these weights too:\n"
        for each in content.origins:
            yield f"- {each.name}: {each.licence}" + (f"; trained on {each.trained_on}" if each.trained_on else "")
        yield ""
    yield from _scores(content)
    yield from _training(content)
    yield f"## File\n\nMade from a file with the SHA-256 checksum `{content.sha256}`."


def _scores(content: Content) -> Iterator[str]:
    about, config = content.about, content.config
    if "sad" not in about and not content.evaluation:
        return
    yield "## Scores\n\nSAD is in thousands. Scores compare only with those of the same pictures and protocol.\n"
    if "sad" in about:
        scores = ", ".join(f"{title(key)} {format_score(key, about[key])}" for key in ("sad", "mse") if key in about)
        count = content.tested.get("pictures")
        where = f" over {count} picture{'' if count == 1 else 's'}" if count else ""
        how = f" (mode {config.test.mode}, max_size {config.test.max_size}, protocol {DEFAULT})" if config else ""
        yield f"Test during training, at step {about.get('step', '?')}: {scores}{where}{how}."
        yield "The weights were chosen by this test, so other pictures can score worse.\n"
    yield from content.evaluation


def evaluation(summary: Summary, run: str) -> Iterator[str]:
    """Lines on the scores of a run in the summary of `deepmat eval`."""
    means = [each for each in summary["means"] if each["run"] == run]
    metrics = [name for name in summary["metrics"] if any(name in each["mean"] for each in means)]
    yield "| " + " | ".join(["protocol", "pictures", *map(title, metrics)]) + " |"
    yield "|---" * (len(metrics) + 2) + "|"
    for each in means:
        cells = [_cell(name, each["mean"].get(name)) for name in metrics]
        yield "| " + " | ".join([each["protocol"], str(each["pictures"]), *cells]) + " |"
    settings = {key: value for key, value in summary["settings"].items() if isinstance(value, (str, int, float))}
    yield "\n`deepmat eval` with " + ", ".join(f"{key} {_nameless(value)}" for key, value in settings.items()) + "."
    compares = "compare" if summary["comparable"] else "do not compare"
    yield f"These scores {compares} with those published for Composition-1k: {'; '.join(summary['remarks'])}.\n"


def _cell(metric: str, mean: Any) -> str:
    value = mean and mean["mean"]
    return "" if value is None else format_score(metric, value)


def _training(content: Content) -> Iterator[str]:
    if content.config is None:
        return
    yield "## Training\n\nThe config of the run, for `deepmat train --config FILE` (paths are shortened):\n"
    config = yaml.safe_dump(_nameless(content.config.model_dump(mode="json")), sort_keys=False)
    yield f"<details>\n\n```yaml\n{config}```\n\n</details>\n"


def _nameless(value: Any) -> Any:
    """Values without the folders in their paths, which are nobody else's business."""
    if isinstance(value, dict):
        return {key: _nameless(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_nameless(each) for each in value]
    if not isinstance(value, str) or not re.search(r"[/\\]", value) or hub.is_id(value):
        return value
    return (PureWindowsPath(value) if "\\" in value else PurePosixPath(value)).name
