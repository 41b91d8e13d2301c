"""How the published release stores its networks: options, names and shapes of all tensors.

Each `*_tensors` function is a table of what a checkpoint must hold: its own name for a tensor, our
name, and the shape that follows from the options. Facts: reference, sections 1 and 2.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Options = dict[str, Any]

TEXT_SIZE = 512  # CLIP ViT-B/32, fixed in the release
NUM_FEATURES = {"t2m": 263, "kit": 251}
MAX_POSITIONS = 5000  # rows of the stored sinusoids
POSITIONS = "position_enc.pe"  # not stored by us: computed
LENGTH_HIDDEN = (512, 256, 128)  # fixed in the release
NUM_LENGTHS = 50
_RVQ_DROPOUT = 0.2  # fixed in the release's residual blocks

_FRAME = ("------------ Options -------------", "-------------- End ----------------")


class Row(NamedTuple):
    theirs: str
    ours: str
    shape: tuple[int, ...]


class OptionsError(ValueError):
    """Options that cannot be read or that our networks do not have."""


def parse_options(text: str) -> Options:
    """The `key: value` lines of an opt.txt; nothing in it is evaluated. Raises OptionsError."""
    options: Options = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.strip() in _FRAME:
            continue
        key, separator, value = line.partition(": ")
        if not separator or ": " in value:
            raise OptionsError(f"line {number} is not 'key: value': {line[:60]!r}")
        options[key.strip()] = _value(value)
    return options


def _value(text: str) -> bool | int | float | str:
    if text in ("True", "False"):
        return text == "True"
    if re.fullmatch(r"[-+]?[0-9]+\.[0-9]+", text):
        return float(text)
    if re.fullmatch(r"[-+]?[0-9]{1,18}", text):
        return int(text)
    return text


def rvq_config(options: Options, dataset: str) -> dict[str, Any]:
    """Our configuration of the published RVQ. Missing options have the published values."""
    fixed = {
        "vq_act": "relu",
        "vq_norm": "None",
        "shared_codebook": False,
        "stride_t": 2,
        "dataset_name": dataset,
        "output_emb_width": options.get("code_dim", 512),
    }
    for key, value in fixed.items():
        if options.get(key, value) != value:
            raise OptionsError(f"{key} is {options[key]!r}; only {value!r} can be converted")
    return {
        "num_features": NUM_FEATURES[dataset],
        "width": _count(options, "width", 512),
        "code_size": _count(options, "code_dim", 512),
        "num_codes": _count(options, "nb_code", 512),
        "num_quantizers": _count(options, "num_quantizers", 6),
        "depth": _count(options, "depth", 3),
        "dilation_growth": _count(options, "dilation_growth_rate", 3),
        "num_stages": _count(options, "down_t", 2),
        "dropout": _RVQ_DROPOUT,
    }


def transformer_config(options: Options, rvq: dict[str, Any]) -> dict[str, Any]:
    """Our configuration of a published transformer, which takes its token sizes from the RVQ."""
    config = {
        "num_codes": rvq["num_codes"],
        "code_size": rvq["code_size"],
        "text_size": TEXT_SIZE,
        "width": _count(options, "latent_dim", 384),
        "feedforward": _count(options, "ff_size", 1024),
        "num_layers": _count(options, "n_layers", 8),
        "num_heads": _count(options, "n_heads", 6),
        "dropout": float(options.get("dropout", 0.2)),
        "num_quantizers": rvq["num_quantizers"],
        "shared": options.get("share_weight", False) is True,
    }
    if config["width"] % config["num_heads"]:
        raise OptionsError(
            f"latent_dim {config['width']} is not divisible by n_heads {config['num_heads']}"
        )
    return config


def length_config() -> dict[str, Any]:
    return {"text_size": TEXT_SIZE, "hidden": list(LENGTH_HIDDEN), "num_classes": NUM_LENGTHS}


def _count(options: Options, key: str, default: int) -> int:
    value = options.get(key, default)
    if type(value) is not int or not 1 <= value <= 65536:
        raise OptionsError(f"{key} is {value!r}, not a number from 1 to 65536")
    return value


def affine(theirs: str, ours: str, *shape: int) -> list[Row]:
    """Weight and bias of a layer; the first axis of its weight counts the outputs."""
    return [
        Row(f"{theirs}.weight", f"{ours}.weight", shape),
        Row(f"{theirs}.bias", f"{ours}.bias", shape[:1]),
    ]


def rvq_tensors(config: dict[str, Any]) -> list[Row]:
    """Codebook q is our `codebooks.q`; the converter stacks them."""
    width, code, features = config["width"], config["code_size"], config["num_features"]
    last = 2 + config["num_stages"]
    rows = affine("encoder.model.0", "encoder.0", width, features, 3)
    rows += affine(f"encoder.model.{last}", f"encoder.{last}", code, width, 3)
    rows += affine("decoder.model.0", "decoder.0", width, code, 3)
    rows += affine(f"decoder.model.{last}", f"decoder.{last}", width, width, 3)
    rows += affine(f"decoder.model.{last + 2}", f"decoder.{last + 2}", features, width, 3)
    for stage in range(2, last):
        rows += affine(f"encoder.model.{stage}.0", f"encoder.{stage}.0", width, width, 4)
        rows += affine(f"decoder.model.{stage}.2", f"decoder.{stage}.2", width, width, 3)
        rows += _blocks(f"encoder.model.{stage}.1.model", f"encoder.{stage}.1", config)
        rows += _blocks(f"decoder.model.{stage}.0.model", f"decoder.{stage}.0", config)
    for q in range(config["num_quantizers"]):
        shape = (config["num_codes"], code)
        rows.append(Row(f"quantizer.layers.{q}.codebook", f"codebooks.{q}", shape))
    return rows


def _blocks(theirs: str, ours: str, config: dict[str, Any]) -> Iterator[Row]:
    width = config["width"]
    for block in range(config["depth"]):
        yield from affine(f"{theirs}.{block}.conv1", f"{ours}.{block}.spread", width, width, 3)
        yield from affine(f"{theirs}.{block}.conv2", f"{ours}.{block}.mix", width, width, 1)


def base_tensors(config: dict[str, Any]) -> list[Row]:
    tokens = Row("token_emb.weight", "tokens.weight", (config["num_codes"] + 2, _code(config)))
    return [tokens, *_trunk(config, config["num_codes"])]


def residual_tensors(config: dict[str, Any]) -> list[Row]:
    """A non-shared `bias` has one row more than there are layers to predict; it is never used."""
    quantizers, rows = config["num_quantizers"], config["num_codes"] + 1
    table = (rows, _code(config))
    layers = quantizers - 1
    if config["shared"]:
        tables = [
            Row("token_embed_weight_", "first_in", (1, *table)),
            Row("embed_proj_shared_weight", "shared", (layers - 1, *table)),
            Row("output_proj_weight_", "last_out", (1, *table)),
        ]
    else:
        tables = [
            Row("token_embed_weight", "inputs", (layers, *table)),
            Row("output_proj_weight", "outputs", (layers, *table)),
            Row("output_proj_bias", "bias", (quantizers, rows)),
        ]
    layer = affine("quant_emb", "layer", config["width"], quantizers)
    return [*tables, *layer, *_trunk(config, _code(config))]


def _code(config: dict[str, Any]) -> int:
    return config["code_size"]


def _trunk(config: dict[str, Any], out_size: int) -> Iterator[Row]:
    width = config["width"]
    yield Row(POSITIONS, "", (MAX_POSITIONS, 1, width))
    yield from affine("input_process.poseEmbedding", "trunk.enter", width, _code(config))
    yield from affine("cond_emb", "trunk.text", width, config["text_size"])
    for layer in range(config["num_layers"]):
        theirs = f"seqTransEncoder.layers.{layer}"
        yield from _layer(theirs, f"trunk.layers.{layer}", width, config["feedforward"])
    yield from affine("output_process.dense", "trunk.dense", width, width)
    yield from affine("output_process.LayerNorm", "trunk.norm", width)
    yield from affine("output_process.poseFinal", "trunk.leave", out_size, width)


def _layer(theirs: str, ours: str, width: int, feedforward: int) -> Iterator[Row]:
    attention = f"{theirs}.self_attn"
    yield Row(f"{attention}.in_proj_weight", f"{ours}.qkv.weight", (3 * width, width))
    yield Row(f"{attention}.in_proj_bias", f"{ours}.qkv.bias", (3 * width,))
    yield from affine(f"{attention}.out_proj", f"{ours}.out", width, width)
    yield from affine(f"{theirs}.linear1", f"{ours}.expand", feedforward, width)
    yield from affine(f"{theirs}.linear2", f"{ours}.contract", width, feedforward)
    yield from affine(f"{theirs}.norm1", f"{ours}.norm_attention", width)
    yield from affine(f"{theirs}.norm2", f"{ours}.norm_feedforward", width)


def length_tensors() -> list[Row]:
    """Linear, norm, activation and dropout count in the names; no dropout before the last."""
    sizes = (TEXT_SIZE, *LENGTH_HIDDEN, NUM_LENGTHS)
    linear = zip((0, 4, 8, 11), sizes[1:], sizes[:-1], strict=True)
    rows = [row for i, out, into in linear for row in _same(f"output.{i}", out, into)]
    norms = zip((1, 5, 9), LENGTH_HIDDEN, strict=True)
    return rows + [row for i, size in norms for row in _same(f"output.{i}", size)]


def _same(name: str, *shape: int) -> list[Row]:
    return affine(name, name, *shape)
