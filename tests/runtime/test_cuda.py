"""The same tokens on CUDA as on the CPU, and on CUDA alone or in any batch."""

import numpy as np
import pytest
import torch

from model_runtime.networks import find_weights
from model_runtime.pipeline import generate_tokens
from model_runtime.sampling import SeededNoise
from model_runtime.torch_backend import TorchNetworks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

PROMPTS = ["a person walks forward", "a person jumps", "someone dances", "a man sits down"]
LENGTHS = [80, 41, 196, 120]


def tokens(networks: TorchNetworks, text, clips: list[int]):
    noises = [SeededNoise(clip) for clip in clips]
    lengths = [LENGTHS[clip] for clip in clips]
    return generate_tokens(networks, text[clips], lengths, noises, networks.card.sampling)


def test_cuda_agrees_with_the_cpu():
    cpu = TorchNetworks.open(find_weights("starter"), "cpu")
    cuda = TorchNetworks.open(find_weights("starter"), "cuda")
    text_cpu, text_cuda = (n.embed_text(PROMPTS).vectors for n in (cpu, cuda))
    np.testing.assert_allclose(text_cuda, text_cpu, atol=1e-5)
    on_cpu, on_cuda = tokens(cpu, text_cpu, [0, 1, 2, 3]), tokens(cuda, text_cuda, [0, 1, 2, 3])
    assert np.array_equal(on_cpu, on_cuda)
    np.testing.assert_allclose(
        cuda.decode(on_cuda[0, :20]), cpu.decode(on_cpu[0, :20]), atol=1e-4, rtol=1e-4
    )


def test_cuda_tokens_do_not_depend_on_the_batch():
    cuda = TorchNetworks.open(find_weights("starter"), "cuda")
    text = cuda.embed_text(PROMPTS).vectors
    together = tokens(cuda, text, [0, 1, 2, 3])
    for clip in range(4):
        alone = tokens(cuda, text, [clip])[0]
        assert np.array_equal(alone, together[clip, : len(alone)])
