"""What a sweep found, in Markdown: the paper's Tables 1 and 2, Figure 7 as tables."""

from collections.abc import Iterator
from typing import Any

from model_runtime.evaluation.sweep import Found

Fields = dict[str, Any]

JUDGED = {
    "r_precision_top1": "R-precision top 1",
    "r_precision_top2": "top 2",
    "r_precision_top3": "top 3",
    "fid": "FID",
    "multimodal_distance": "MM-Dist",
    "diversity": "Diversity",
}
RATIOS = {"skate": "skate x data", "jerk": "jerk x data"}  # to the training clips
PLAIN = {"penetration": "penetration cm"}
TITLES = {
    "steps": "Figure 7: steps",
    "guidance": "Figure 7: guidance scale",
    "layers": "Layers decoded",
}


def markdown(found: Found) -> Iterator[str]:
    """All tables."""
    weights, data = found.weights, found.data
    yield f"{weights['name']}, model.json SHA-256 {weights['model_json_sha256'][:12]}, on the"
    yield f"{data['clips']} clips of {data['folder']}/{data['split']}.txt,"
    yield f"{data['repeats']} repeats; ± is the 95 % confidence interval over them."
    if "fid" in found.real and "layers" in found.sweeps:
        yield from _table_1(found)
    if found.reconstruction:
        yield from _table_2(found)
    for name, rows in found.sweeps.items():
        yield from _sweep(TITLES[name], name, rows, found.real)


def _table_1(found: Found) -> Iterator[str]:
    yield from _heading("Table 1: generation", ["", *JUDGED.values(), "MultiModality"])
    yield _row(["Real motions", *_judged(found.real), _interval(found.real["multimodality"])])
    if floor := found.real.get("training_fid"):
        cells = [_interval(floor) if name == "fid" else "-" for name in JUDGED]
        yield _row(["as many training clips", *cells, "-"])
    variety = {row["layers"]: row for row in found.multimodality}
    for row in found.sweeps["layers"]:
        yield _row([_layers(row["value"]), *_judged(row), _interval(variety[row["value"]])])


def _table_2(found: Found) -> Iterator[str]:
    titles = ["", "reconstruction FID", "MPJPE mm", "drift cm", "generation FID", "MM-Dist"]
    yield from _heading("Table 2: reconstruction and generation", titles)
    rows = {row["value"]: row for row in found.sweeps["layers"]}
    for coded in found.reconstruction:
        made = rows[coded["layers"]]
        measures = [coded[name] for name in ("fid", "root_aligned", "drift")]
        measures += [made.get(name) for name in ("fid", "multimodal_distance")]
        yield _row([_layers(coded["layers"]), *(_interval(value) for value in measures)])


def _sweep(title: str, name: str, rows: list[Fields], real: Fields) -> Iterator[str]:
    judged = {key: label for key, label in JUDGED.items() if key in real}
    sets = [f"prompts followed, {own.replace('_', ' ')}" for own in rows[0]["following"]]
    labels = [*judged.values(), *RATIOS.values(), *PLAIN.values(), *sets]
    yield from _heading(title, [name, *labels])
    for row in rows:
        ratios = [_scaled(row[key], real["training"][key]) for key in RATIOS]
        values = [_interval(value) for value in [row[key] for key in judged] + ratios]
        values += [_interval(row[key]) for key in PLAIN]
        shares = [f"{100.0 * share:.0f} %" for share in row["following"].values()]
        yield _row([f"{row['value']:g}", *values, *shares])


def _heading(title: str, columns: list[str]) -> Iterator[str]:
    yield from ("", f"**{title}**", "", _row(columns), "|---" * len(columns) + "|")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _layers(number: int) -> str:
    return "base layer only" if number == 1 else f"{number} layers"


def _judged(row: Fields) -> list[str]:
    return [_interval(row.get(name)) for name in JUDGED]


def _scaled(value: Fields, reference: float) -> Fields:
    return {name: number / max(reference, 1e-9) for name, number in value.items()}


def _interval(value: Any) -> str:
    """An interval, a plain number, words, or nothing."""
    if isinstance(value, dict):
        return f"{value['mean']:.3g} ± {value['half_width']:.2g}"
    return "-" if value is None else value if isinstance(value, str) else f"{value:.3g}"
