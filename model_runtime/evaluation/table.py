"""An Evaluation as lines of text."""

from collections.abc import Iterator
from typing import Any

from model_runtime.evaluation.report import Evaluation

Fields = dict[str, Any]

COLUMNS = {
    "root_aligned": "MPJPE mm",
    "heading_aligned": "heading mm",
    "drift": "drift cm",
    "path_error": "path cm",
    "jerk_ratio": "jerk x data",
    "skate": "skate cm/s",
    "fid": "FID",
}


def lines(found: Evaluation) -> Iterator[str]:
    """The whole table; +- is the 95 % confidence interval over the repeats."""
    data = found.data
    yield f"{found.weights['name']} on {data['clips']} clips, {data['repeats']} repeats"
    yield f"model.json SHA-256 {found.weights['model_json_sha256']}"
    yield from _reconstruction(found.reconstruction)
    yield from _plausibility(found.plausibility)
    yield from _plain("Copying, 2 s windows, heading-aligned", found.copying)
    yield from _plain("Several seeds of one prompt", found.seeds)
    yield from _plain("Failures", found.failures)
    yield from _plain("Random prompts", found.random_prompts)
    yield from _codebooks(found.codebooks)
    yield from _judged(found.judged)


def _reconstruction(rows: list[Fields]) -> Iterator[str]:
    yield ""
    yield "Reconstruction   " + "".join(f"{title:>13}" for title in COLUMNS.values())
    for row in rows:
        values = "".join(f"{_number(row[name]):>13}" for name in COLUMNS)
        yield f"{row['layers']:>2} layers        {values}"


def _plausibility(rows: Fields) -> Iterator[str]:
    yield ""
    titles = f"{'split':>10}{'ratio':>8}{'training':>10}{'ratio':>8}"
    yield f"{'Generated motion':<36}{'generated':>18}{titles}"
    for name, row in rows.items():
        title = f"{name.replace('_', ' ')} ({row['unit']})"
        mean = row["generated"]["mean"]
        columns = f"{_interval(row['generated']):>18}"
        for data in (row["split"], row["training"]):
            columns += f"{_number(data):>10}{_ratio(mean, data):>8}"
        yield f"{title:<36}{columns}"


def _plain(title: str, fields: Fields) -> Iterator[str]:
    yield ""
    yield title
    for name, value in fields.items():
        yield f"  {name.replace('_', ' '):<40}{_number(value):>12}"


def _codebooks(rows: list[Fields]) -> Iterator[str]:
    yield ""
    used = f"{'used, split':>14}{'generated':>18}"
    yield f"{'Codebook':<10}{'perplexity, split':>20}{'generated':>18}{used}"
    for row in rows:
        split, ours = row["split"], row["generated"]
        yield (
            f"{row['codebook']:<10}{_number(split['perplexity']):>20}"
            f"{_interval(ours['perplexity']):>18}{_number(split['used_share']):>14}"
            f"{_interval(ours['used_share']):>18}"
        )


def _judged(found: Fields | str) -> Iterator[str]:
    yield ""
    if isinstance(found, str):
        yield f"FID, R-precision, MM-dist, diversity, multimodality: {found}"
        return
    yield f"{'Learned evaluator':<36}{'generated':>18}{'split':>18}"
    for name, row in found.items():
        split = _interval(row["split"]) if "split" in row else "-"
        yield f"{name.replace('_', ' '):<36}{_interval(row['generated']):>18}{split:>18}"


def _interval(value: Fields) -> str:
    return f"{_number(value['mean'])} +- {_number(value['half_width'])}"


def _number(value: Any) -> str:
    if isinstance(value, list):  # of what failed
        return f"{len(value)}: {'; '.join(value)}" if value else "0"
    if isinstance(value, float):
        return (
            f"{value:.3g}"
            if abs(value) < 1.0
            else f"{value:.1f}"
            if value >= 10
            else f"{value:.2f}"
        )
    return "-" if value is None else str(value)


def _ratio(value: float, reference: float | None) -> str:
    return f"{value / reference:.2f}" if reference and reference > 1e-3 else "-"
