"""Masked transformer, residual transformer (paper, sections 3.2 and 3.3) and length estimator.

Layer layout is that of the published release: post-norm encoder layers without a final norm, a
condition token in front, sinusoidal positions for motion tokens only.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_runtime.nets.configs import LengthConfig, TransformerConfig


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Sine at even, cosine at odd columns, (length, width); Vaswani et al. 2017, section 3.5."""
    position = torch.arange(length, device=device, dtype=torch.float32).unsqueeze(1)
    even = torch.arange(0, width, 2, device=device, dtype=torch.float32)
    angle = position * torch.exp(even * (-math.log(10000.0) / width))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(length, width)


class EncoderLayer(nn.Module):
    """Post-norm transformer encoder layer with exact GELU."""

    def __init__(self, config: TransformerConfig, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.expand = nn.Linear(config.width, config.feedforward)
        self.contract = nn.Linear(config.feedforward, config.width)
        self.norm_attention = nn.LayerNorm(config.width, eps=norm_eps)
        self.norm_feedforward = nn.LayerNorm(config.width, eps=norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def attend(self, x: Tensor, valid: Tensor | None, is_causal: bool = False) -> Tensor:
        batch, length, width = x.shape
        heads = self.qkv(x).view(batch, length, 3, self.num_heads, width // self.num_heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each (B, heads, L, width / heads)
        dropout = self.dropout.p if self.training else 0.0
        seen = None if valid is None else valid[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, dropout_p=dropout, is_causal=is_causal
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x (B, L, width); valid (B, L) True at real tokens, None where all are."""
        x = self.norm_attention(x + self.dropout(self.attend(x, valid)))
        hidden = self.dropout(functional.gelu(self.expand(x)))
        return self.norm_feedforward(x + self.dropout(self.contract(hidden)))


class Trunk(nn.Module):
    """What both transformers share: token codes and prefix tokens -> one vector per token."""

    def __init__(self, config: TransformerConfig, out_size: int) -> None:
        super().__init__()
        self.enter = nn.Linear(config.code_size, config.width)
        self.text = nn.Linear(config.text_size, config.width)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_layers))
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)  # as released
        self.leave = nn.Linear(config.width, out_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, codes: Tensor, prefix: Tensor, valid: Tensor | None) -> Tensor:
        """codes (B, N, code_size), prefix (B, P, width), valid (B, N) -> (B, N, out_size)."""
        x = self.enter(codes)
        x = self.dropout(x + sinusoids(x.shape[1], x.shape[2], x.device))
        x = torch.cat([prefix, x], dim=1)
        seen = None
        if valid is not None:
            seen = torch.cat([valid.new_ones(prefix.shape[:2]), valid], dim=1)
        for layer in self.layers:
            x = layer(x, seen)
        x = x[:, prefix.shape[1] :]
        return self.leave(self.norm(functional.gelu(self.dense(x))))


class MaskedTransformer(nn.Module):
    """Base-layer tokens, some of them MASK, and a text -> logits (paper, section 3.2)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.mask = config.num_codes  # token ids of MASK and PAD
        self.pad = config.num_codes + 1
        self.tokens = nn.Embedding(config.num_codes + 2, config.code_size)
        self.trunk = Trunk(config, config.num_codes)

    def forward(self, tokens: Tensor, text: Tensor, valid: Tensor | None = None) -> Tensor:
        """tokens (B, N) int64, text (B, E) or zeros for none, valid (B, N) -> (B, N, K)."""
        prefix = self.trunk.text(text).unsqueeze(1)
        return self.trunk(self.tokens(tokens), prefix, valid)


class ResidualTransformer(nn.Module):
    """Tokens of layers 0..q-1 and a text -> logits of layer q (paper, section 3.3).

    Its vocabulary has one more entry, PAD, which it may also predict: that token is ABSENT.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.pad = config.num_codes
        self.trunk = Trunk(config, config.code_size)
        self.layer = nn.Linear(config.num_quantizers, config.width)
        self.num_tables = config.num_quantizers - 1
        shape = (config.num_codes + 1, config.code_size)
        if config.shared:
            self.first_in = nn.Parameter(torch.randn(1, *shape) * 0.02)
            self.shared = nn.Parameter(torch.randn(self.num_tables - 1, *shape) * 0.02)
            self.last_out = nn.Parameter(torch.randn(1, *shape) * 0.02)
        else:
            self.inputs = nn.Parameter(torch.randn(self.num_tables, *shape) * 0.02)
            self.outputs = nn.Parameter(torch.randn(self.num_tables, *shape) * 0.02)
            self.bias = nn.Parameter(torch.zeros(self.num_tables, shape[0]))

    def input_tables(self) -> Tensor:
        """(Q - 1, K + 1, code_size): table j embeds the tokens of layer j."""
        return torch.cat([self.first_in, self.shared]) if self.config.shared else self.inputs

    def output_tables(self) -> Tensor:
        """(Q - 1, K + 1, code_size): table q - 1 scores the tokens of layer q."""
        return torch.cat([self.shared, self.last_out]) if self.config.shared else self.outputs

    def history(self, tokens: Tensor, q: Tensor) -> Tensor:
        """Sum of the embeddings of layers 0..q-1. tokens (B, N, Q), q (B,) -> (B, N, code_size)."""
        tables = self.input_tables()
        layers = [tables[j][tokens[..., j]] for j in range(self.num_tables)]
        used = torch.arange(self.num_tables, device=q.device) < q.unsqueeze(1)  # (B, Q - 1)
        stacked = torch.stack(layers, dim=1)  # (B, Q - 1, N, code_size)
        return (stacked * used[:, :, None, None]).sum(dim=1)

    def forward(
        self, tokens: Tensor, q: Tensor, text: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """tokens (B, N, Q) int64 (layers from q on are not read), q (B,) in 1..Q-1,
        text (B, E), valid (B, N) -> logits (B, N, K + 1)."""
        which = functional.one_hot(q, self.config.num_quantizers).to(text.dtype)
        prefix = torch.stack([self.trunk.text(text), self.layer(which)], dim=1)
        hidden = self.trunk(self.history(tokens, q), prefix, valid)
        logits = hidden @ self.output_tables()[q - 1].transpose(1, 2)
        if self.config.shared:
            return logits
        # The release adds the product twice; its non-shared weights were trained that way.
        return 2.0 * logits + self.bias[q - 1].unsqueeze(1)


class LengthEstimator(nn.Module):
    """Text -> logits over the number of tokens."""

    def __init__(self, config: LengthConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (config.text_size, *config.hidden)
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(sizes)):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.LeakyReLU(0.2)]
            if index < len(config.hidden) - 1:  # as released: none before the last layer
                layers.append(nn.Dropout(config.dropout))
        layers.append(nn.Linear(sizes[-1], config.num_classes))
        self.output = nn.Sequential(*layers)

    def forward(self, text: Tensor) -> Tensor:
        """text (B, E) -> (B, num_classes)."""
        return self.output(text)
