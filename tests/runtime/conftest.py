"""Fixtures of the runtime's tests."""

import pytest
import torch

from model_runtime.torch_backend import TextEncoder
from model_runtime.weights_folder import find_weights, read_card


@pytest.fixture(scope="session")
def encoder() -> TextEncoder:
    """The starter's text tower."""
    card = read_card(find_weights("starter"))
    return TextEncoder.open(card.folder, card.parts["text"], torch.device("cpu"))
