"""What stops a fetch, in words for the user."""

from momask_blender.contract.messages import BAD_INPUT


class FetchError(Exception):
    """One line: what happened, which file, what to do next. `code` is one of the messages'."""

    def __init__(self, message: str, code: str = BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code


class ConvertError(ValueError):
    """Published files that cannot be converted; the message is for the user."""


class UnfitError(Exception):
    """What came is not the published file; the words say how one knows."""
