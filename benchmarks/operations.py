"""Operations of the networks' products in float32; a multiplication and its addition are two."""

import time

import torch

from model_runtime.nets.configs import RvqConfig, TransformerConfig
from model_runtime.networks import TowerConfig


def layer(width: int, feedforward: int, length: int) -> int:
    """One encoder layer on a row of `length`: projections, attention, feedforward."""
    return 2 * length * (4 * width**2 + 2 * width * feedforward + 2 * length * width)


def transformer(config: TransformerConfig, num_tokens: int, prefix: int, num_classes: int) -> int:
    """One row through a masked (prefix 1, classes K) or residual transformer (2, code size)."""
    width = config.width
    layers = config.num_layers * layer(width, config.feedforward, num_tokens + prefix)
    ends = 2 * num_tokens * width * (config.code_size + width + num_classes)
    return layers + ends + 2 * prefix * config.text_size * width


def base_pass(config: TransformerConfig, num_tokens: int) -> int:
    """With and without text."""
    return 2 * transformer(config, num_tokens, 1, config.num_codes)


def residual_pass(config: TransformerConfig, num_tokens: int, scale: float) -> int:
    """With and without text, unless guidance at this scale needs one of them only."""
    num_rows = 1 if scale in (0.0, 1.0) else 2
    scores = 2 * num_tokens * config.code_size * (config.num_codes + 1)
    return num_rows * (transformer(config, num_tokens, 2, config.code_size) + scores)


def tower(config: TowerConfig, num_pieces: int) -> int:
    return config.num_layers * layer(config.width, config.feedforward, num_pieces)


def decoder(config: RvqConfig, num_tokens: int) -> int:
    """Convolutions of three taps, and of one in each residual block."""
    width, rate = config.width, 1
    total = 3 * config.code_size * width
    for _ in range(config.num_stages):
        total += rate * config.depth * 4 * width**2
        rate *= 2
        total += rate * 3 * width**2
    total += rate * 3 * width * (width + config.num_features)
    return 2 * num_tokens * total


def matrix_rate(repeats: int = 10, size: int = 1024) -> float:
    """Best rate of a square float32 product on one core, operations per second of that core."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a, b = torch.randn(2, size, size)
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        a @ b
        spent.append(time.process_time() - began)
    torch.set_num_threads(num_threads)
    return 2 * size**3 / min(spent)
