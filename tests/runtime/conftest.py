"""Fixtures of the runtime's tests."""

from typing import TYPE_CHECKING

import pytest

from model_runtime.weights_folder import find_weights, read_card

if TYPE_CHECKING:
    from model_runtime.torch_backend import TextEncoder


@pytest.fixture(scope="session")
def encoder() -> "TextEncoder":
    """The starter's text tower, in PyTorch, which tests/blender_versions.sh does without."""
    import torch

    from model_runtime.torch_backend import TextEncoder

    card = read_card(find_weights("starter"))
    return TextEncoder.open(card.folder, card.parts["text"], torch.device("cpu"))
