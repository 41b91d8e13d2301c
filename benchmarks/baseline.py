"""The procedure of the published release, written by us in eager PyTorch, to compare with.

As the release runs it: text read again by each transformer and padded to 77 pieces, guidance in two
passes, its encoder layers with a padding mask, tables joined on every pass, a batch decoded as one.
Its weights are random and its export, 100 rounds of inverse kinematics over a BVH, is left out.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.features import features_to_joints
from model_runtime.nets.configs import ClipTowerConfig, RvqConfig, TransformerConfig
from model_runtime.nets.rvq import Rvq
from model_runtime.nets.text import ClipTower
from model_runtime.nets.transformer import sinusoids

NUM_PIECES = 77  # to which CLIP's prompts are padded
KEPT_SHARE = 0.1
TINY = 1e-20


class Transformer(nn.Module):
    """What both transformers of the release share."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        layer = nn.TransformerEncoderLayer(
            config.width, config.num_heads, config.feedforward, config.dropout, "gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, config.num_layers, enable_nested_tensor=False)
        self.enter = nn.Linear(config.code_size, config.width)
        self.text = nn.Linear(config.text_size, config.width)
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.leave = nn.Linear(config.width, config.code_size)
        positions = sinusoids(5000, config.width, torch.device("cpu")).unsqueeze(1)
        self.register_buffer("positions", positions)

    def run(self, codes: Tensor, prefix: list[Tensor], padded: Tensor) -> Tensor:
        """codes (B, N, C), prefix of (B, W), padded (B, N) -> (B, C, N)."""
        x = self.enter(codes).permute(1, 0, 2)
        x = x + self.positions[: len(x)]  # type: ignore[index]
        x = torch.cat([*(token.unsqueeze(0) for token in prefix), x])
        seen = torch.cat([torch.zeros_like(padded[:, : len(prefix)]), padded], dim=1)
        x = self.encoder(x, src_key_padding_mask=seen)[len(prefix) :]
        x = self.norm(functional.gelu(self.dense(x)))
        return self.leave(x).permute(1, 2, 0)


class Baseline:
    """Networks of the published sizes on the CPU."""

    def __init__(self) -> None:
        config = TransformerConfig()
        self.base, self.residual = Transformer(config).eval(), Transformer(config).eval()
        self.tokens = nn.Embedding(config.num_codes + 2, config.code_size)
        self.layer = nn.Linear(config.num_quantizers, config.width)
        self.first_in, self.shared, self.last_out = (
            0.02 * torch.randn(count, config.num_codes + 1, config.code_size)
            for count in (1, config.num_quantizers - 2, 1)
        )
        self.rvq, self.clip = Rvq(RvqConfig()).eval(), ClipTower(ClipTowerConfig()).eval()

    @torch.no_grad()
    def read(self, pieces: list[int], num_clips: int) -> Tensor:
        """One prompt's pieces for each of the clips -> (B, E)."""
        ids = torch.zeros(num_clips, NUM_PIECES, dtype=torch.int64)
        ids[:, : len(pieces)] = torch.tensor(pieces)
        return self.clip(ids)

    @torch.no_grad()
    def base_tokens(self, text: Tensor, length: int, steps: int, scale: float) -> Tensor:
        """Masked generation (reference, section 3.1). text (B, E) -> (B, N)."""
        mask = self.base.config.num_codes
        lengths = torch.full((len(text),), length)
        padded = torch.arange(length) >= lengths[:, None]
        tokens = torch.where(padded, mask + 1, mask)
        scores = torch.where(padded, 1e5, 0.0)
        for time in torch.linspace(0, 1, steps):
            count = (torch.cos(time * math.pi / 2) * lengths).round().clamp(min=1)
            masked = scores.argsort(dim=1).argsort(dim=1) < count.unsqueeze(-1)
            tokens = torch.where(masked, mask, tokens)
            rows = [self._base_pass(tokens, each, padded) for each in (text, text * 0.0)]
            logits = (rows[1] + (rows[0] - rows[1]) * scale).permute(0, 2, 1)
            guess = torch.distributions.Categorical(logits=_keep_best(logits)).sample()
            tokens = torch.where(masked, guess, tokens)
            chosen = logits.softmax(dim=-1).gather(2, guess.unsqueeze(-1)).squeeze(-1)
            scores = torch.where(masked, chosen, 1e5)
        return tokens

    def _base_pass(self, tokens: Tensor, text: Tensor, padded: Tensor) -> Tensor:
        return self.base.run(self.tokens(tokens), [self.base.text(text)], padded)

    @torch.no_grad()
    def all_tokens(self, base: Tensor, text: Tensor, scale: float) -> Tensor:
        """Residual layers (section 3.2). base (B, N), text (B, E) -> (B, N, Q)."""
        padded = torch.zeros_like(base, dtype=torch.bool)
        layers, history = [base], torch.zeros(())
        for q in range(1, self.residual.config.num_quantizers):
            tables = torch.cat([self.first_in, self.shared])
            history = history + tables[q - 1][layers[-1]]
            rows = [self._residual_pass(history, q, each, padded) for each in (text, text * 0.0)]
            logits = (rows[1] + (rows[0] - rows[1]) * scale).permute(0, 2, 1)
            uniform = torch.rand_like(logits)
            noise = -torch.log((-torch.log(uniform.clamp(min=TINY))).clamp(min=TINY))
            layers.append((_keep_best(logits) + noise).argmax(dim=-1))
        tokens = torch.stack(layers, dim=-1)
        return torch.where(tokens == self.residual.config.num_codes, -1, tokens)

    def _residual_pass(self, history: Tensor, q: int, text: Tensor, padded: Tensor) -> Tensor:
        which = functional.one_hot(torch.full((len(text),), q), self.layer.in_features).float()
        prefix = [self.residual.text(text), self.layer(which)]
        hidden = self.residual.run(history, prefix, padded)
        tables = torch.cat([self.shared, self.last_out])[torch.full((len(text),), q - 1)]
        return torch.einsum("bnc,bcs->bns", tables, hidden)

    @torch.no_grad()
    def joints(self, tokens: Tensor) -> list[NDArray]:
        """Decode all clips as one batch (section 3.3). -> (T, 22, 3) each."""
        decoded = self.rvq.decode(tokens).numpy().astype(np.float64)
        return [features_to_joints(features) for features in decoded]


def _keep_best(logits: Tensor) -> Tensor:
    best, index = logits.topk(math.ceil(KEPT_SHARE * logits.shape[-1]), dim=-1)
    return torch.full_like(logits, -math.inf).scatter(2, index, best)
