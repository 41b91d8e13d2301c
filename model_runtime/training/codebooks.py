"""How the codebooks learn: exponential moving averages of what falls to each code."""

import torch
from torch import Tensor, nn

from model_runtime.nets.rvq import nearest_codes
from model_runtime.training import ranks

DEAD_SHARE = 0.05  # a code used less than this share of the mean is drawn anew


class CodebookTrainer(nn.Module):
    """Running sums of one RVQ's codebooks (Q, K, C), which it updates in place."""

    counts: Tensor  # (Q, K)
    sums: Tensor  # (Q, K, C)
    ready: Tensor  # () bool: the codebooks were drawn from data

    def __init__(self, codebooks: Tensor, decay: float) -> None:
        super().__init__()
        self.codebooks = [codebooks]  # in a list: it belongs to the network, not to us
        self.decay = decay
        self.register_buffer("counts", torch.ones_like(codebooks[..., 0]))
        self.register_buffer("sums", codebooks.clone())
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool, device=codebooks.device))

    def keep_codes(self) -> None:
        """Go on from codes that were trained before, instead of drawing them from data."""
        self.sums.copy_(self.codebooks[0])
        self.counts.fill_(1.0)
        self.ready.fill_(True)

    def quantize(
        self, latents: Tensor, layers: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """latents (B, N, C) -> sum of the first `layers` codes (B, N, C) and commitment loss.

        Updates the codes of the layers used, from the batches of all ranks, and in full precision.
        """
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(latents.float(), layers, generator)

    def _quantize(
        self, latents: Tensor, layers: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        flat = latents.reshape(-1, latents.shape[-1])
        if not self.ready:
            self._draw_from(flat.detach(), generator)
        residual, total = flat, torch.zeros_like(flat)
        commitment = flat.new_zeros(())
        for q in range(layers):
            codebook = self.codebooks[0][q]
            with torch.no_grad():
                token = nearest_codes(residual.detach(), codebook)
                code = codebook[token]
                self._count(q, residual.detach(), token, generator)
            commitment = commitment + (residual - code).square().mean() / layers
            total = total + code
            residual = residual - code
        return total.view_as(latents), commitment

    def _count(self, q: int, vectors: Tensor, token: Tensor, generator: torch.Generator) -> None:
        """Fold one batch into the running means of layer q and redraw its dead codes.

        Runs without waiting for the device: every code's replacement is drawn, few are used.
        """
        ones = torch.ones_like(vectors[:, 0])
        counts = torch.zeros_like(self.counts[q]).index_add_(0, token, ones)
        sums = torch.zeros_like(self.sums[q]).index_add_(0, token, vectors)
        ranks.add_up(counts, sums)
        self.counts[q].lerp_(counts, 1.0 - self.decay)
        self.sums[q].lerp_(sums, 1.0 - self.decay)
        mean_count = self.counts[q].mean()
        dead = self.counts[q] < DEAD_SHARE * mean_count
        drawn = vectors[_random_rows(len(vectors), len(dead), generator)]
        ranks.take_from_first(drawn)
        self.sums[q] = torch.where(dead.unsqueeze(1), drawn * mean_count, self.sums[q])
        self.counts[q] = torch.where(dead, mean_count, self.counts[q])
        self.codebooks[0][q].copy_(self.sums[q] / self.counts[q].unsqueeze(1))

    def _draw_from(self, vectors: Tensor, generator: torch.Generator) -> None:
        """First codes: random vectors of the first quantized batch, layer after layer."""
        residual = vectors
        for q, codebook in enumerate(self.codebooks[0]):
            rows = _random_rows(len(residual), len(codebook), generator)
            codebook.copy_(residual[rows])
            ranks.take_from_first(codebook)
            self.sums[q].copy_(codebook)
            self.counts[q].fill_(1.0)
            residual = residual - codebook[nearest_codes(residual, codebook)]
        self.ready.fill_(True)


def _random_rows(num_rows: int, count: int, generator: torch.Generator) -> Tensor:
    return torch.randint(num_rows, (count,), generator=generator, device=generator.device)
