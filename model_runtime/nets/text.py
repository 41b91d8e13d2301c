"""The starter's text tower: a MiniLM sentence encoder (BERT layers, mean pooling)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.nets.configs import SentenceTowerConfig, TransformerConfig
from model_runtime.nets.transformer import EncoderLayer


class SentenceTower(nn.Module):
    """Word pieces -> unit sentence vector. Post-norm BERT layers, exact GELU, eps 1e-12."""

    def __init__(self, config: SentenceTowerConfig) -> None:
        super().__init__()
        self.config = config
        layer = TransformerConfig(
            width=config.width,
            feedforward=config.feedforward,
            num_heads=config.num_heads,
            dropout=0.0,
        )
        self.pieces = nn.Embedding(config.num_pieces, config.width)
        self.positions = nn.Embedding(config.max_pieces, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.layers = nn.ModuleList(
            EncoderLayer(layer, norm_eps=1e-12) for _ in range(config.num_layers)
        )

    def words(self, ids: Tensor, valid: Tensor | None = None) -> Tensor:
        """ids (B, L) int64, valid (B, L) False at padding, None if there is none -> pieces in
        context (B, L, width)."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.pieces(ids) + self.positions(positions))
        for layer in self.layers:
            x = layer(x, valid)
        return x

    def forward(self, ids: Tensor, valid: Tensor | None = None) -> Tensor:
        """ids (B, L) int64, valid (B, L) as above -> (B, width), length 1."""
        x = self.words(ids, valid)
        if valid is None:
            return functional.normalize(x.mean(dim=1), dim=-1)
        share = valid.unsqueeze(-1).to(x.dtype)
        return functional.normalize((x * share).sum(dim=1) / share.sum(dim=1), dim=-1)
