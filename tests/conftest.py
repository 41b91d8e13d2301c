"""Fixtures that several test folders use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and mocap beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder with goldens and mocap is not beside this checkout")
    return SHARED
