"""Residual VQ-VAE: features <-> tokens (paper, section 3.1).

Channel-first tensors (B, channels, time) live and die in this file. The layout of the layers is
that of the published release, so that its weights load after a renaming of keys.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.nets.configs import RvqConfig

ABSENT = -1  # a token of this value contributes no code


class ResidualBlock(nn.Module):
    """Pre-activation block: x + conv1x1(relu(dilated conv3(relu(x))))."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.spread = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.mix(functional.relu(self.spread(functional.relu(x)))))


def _blocks(config: RvqConfig) -> nn.Sequential:
    """Widest dilation first, in encoder and decoder alike, as in the release."""
    dilations = [config.dilation_growth**i for i in reversed(range(config.depth))]
    return nn.Sequential(*(ResidualBlock(config.width, d, config.dropout) for d in dilations))


def _encoder(config: RvqConfig) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv1d(config.num_features, config.width, 3, padding=1)]
    layers.append(nn.ReLU())
    for _ in range(config.num_stages):
        halve = nn.Conv1d(config.width, config.width, 4, stride=2, padding=1)
        layers.append(nn.Sequential(halve, _blocks(config)))
    layers.append(nn.Conv1d(config.width, config.code_size, 3, padding=1))
    return nn.Sequential(*layers)


def _decoder(config: RvqConfig) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv1d(config.code_size, config.width, 3, padding=1), nn.ReLU()]
    for _ in range(config.num_stages):
        double = nn.Upsample(scale_factor=2, mode="nearest")
        smooth = nn.Conv1d(config.width, config.width, 3, padding=1)
        layers.append(nn.Sequential(_blocks(config), double, smooth))
    layers += [nn.Conv1d(config.width, config.width, 3, padding=1), nn.ReLU()]
    layers.append(nn.Conv1d(config.width, config.num_features, 3, padding=1))
    return nn.Sequential(*layers)


def nearest_codes(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index of the closest code by squared distance. (..., C), (K, C) -> (...) int64."""
    distance = (
        vectors.square().sum(-1, keepdim=True)
        - 2.0 * vectors @ codebook.T
        + codebook.square().sum(-1)
    )
    return distance.argmin(dim=-1)


class Rvq(nn.Module):
    """Encoder, residual quantizer, decoder. Features in and out are normed, (B, T, D)."""

    codebooks: Tensor  # (Q, K, C)

    def __init__(self, config: RvqConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        shape = (config.num_quantizers, config.num_codes, config.code_size)
        self.register_buffer("codebooks", torch.zeros(shape))

    def latents(self, features: Tensor) -> Tensor:
        """features (B, T, D) -> what the quantizer codes, (B, T // 4, C)."""
        return self.encoder(features.transpose(1, 2)).transpose(1, 2)

    def quantize(self, latents: Tensor) -> Tensor:
        """latents (B, N, C) -> tokens (B, N, Q): codebook q codes what 0..q-1 left (eq. 1).

        The rounding of `r + (code - r)` is the release's straight-through form; leaving it out
        changes a residual's last bit and now and then a token.
        """
        tokens, residual = [], latents
        for codebook in self.codebooks:
            token = nearest_codes(residual, codebook)
            code = residual + (codebook[token] - residual)
            residual = residual - code
            tokens.append(token)
        return torch.stack(tokens, dim=-1)

    def encode(self, features: Tensor) -> Tensor:
        """features (B, T, D) -> tokens (B, T // 4, Q) int64."""
        return self.quantize(self.latents(features))

    def codes(self, tokens: Tensor) -> Tensor:
        """tokens (B, N, Q) -> codes per layer (Q, B, N, C); ABSENT gives a zero code."""
        present = (tokens != ABSENT).unsqueeze(-1)  # (B, N, Q, 1)
        index = tokens.clamp(min=0)
        layers = [
            self.codebooks[q][index[..., q]] * present[..., q, :] for q in range(tokens.shape[-1])
        ]
        return torch.stack(layers)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """summed codes (B, N, C) -> features (B, 4 N, D)."""
        return self.decoder(latents.transpose(1, 2)).transpose(1, 2)

    def decode(self, tokens: Tensor) -> Tensor:
        """tokens (B, N, <= Q) -> features (B, 4 N, D). Fewer layers decode coarser motion."""
        return self.decode_latents(self.codes(tokens).sum(dim=0))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.decode(tokens)
