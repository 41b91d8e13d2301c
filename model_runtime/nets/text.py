"""Text towers: the starter's MiniLM sentence encoder (BERT layers, mean pooling), and CLIP's."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.nets.configs import ClipTowerConfig, SentenceTowerConfig, TransformerConfig
from model_runtime.nets.transformer import EncoderLayer


def _layer_shape(config: SentenceTowerConfig | ClipTowerConfig) -> TransformerConfig:
    return TransformerConfig(
        width=config.width,
        feedforward=config.feedforward,
        num_heads=config.num_heads,
        dropout=0.0,
    )


class SentenceTower(nn.Module):
    """Word pieces -> unit sentence vector. Post-norm BERT layers, exact GELU, eps 1e-12."""

    def __init__(self, config: SentenceTowerConfig) -> None:
        super().__init__()
        self.config = config
        layer = _layer_shape(config)
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


class ClipLayer(EncoderLayer):
    """Pre-norm layer in which a piece sees only what stands before it; CLIP's approximate GELU."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x (B, L, width)."""
        x = x + self.attend(self.norm_attention(x), valid, is_causal=True)
        hidden = self.expand(self.norm_feedforward(x))
        return x + self.contract(hidden * torch.sigmoid(1.702 * hidden))


class ClipTower(nn.Module):
    """Byte pairs -> text vector, not normalised, as CLIP's `encode_text`."""

    def __init__(self, config: ClipTowerConfig) -> None:
        super().__init__()
        self.config = config
        layer = _layer_shape(config)
        self.pieces = nn.Embedding(config.num_pieces, config.width)
        self.positions = nn.Embedding(config.max_pieces, config.width)
        self.layers = nn.ModuleList(ClipLayer(layer) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, config.size, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, L) int64 -> (B, size), read at the first end piece, which has the largest id."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.pieces(ids) + self.positions(positions)
        for layer in self.layers:
            x = layer(x)
        end = ids.argmax(dim=-1)[:, None, None].expand(-1, 1, x.shape[-1])
        return self.leave(self.norm(x.gather(1, end)[:, 0]))
