"""PyTorch for CUDA: whether it is here, and its installation that is under way. No bpy."""

from dataclasses import dataclass

from .contract.messages import CudaRuntime, FoundWheels, Message
from .fetching import Fetching


@dataclass
class CudaInstallation(Fetching):
    """It looks, installs, imports or removes. `found` waits for the user's agreement."""

    known: CudaRuntime | None = None
    found: FoundWheels | None = None
    found_in: str = ""  # the folder that they are in

    LOOKING = "show"
    CANCELLED = "Cancelled. What came so far is kept; installing again goes on from there"

    def look(self) -> None:
        """Have it told what is here and what is offered."""
        self._begin(self.LOOKING)

    def install(self) -> None:
        """The user has accepted the terms."""
        self._begin("install", "--accept-licence")

    def look_into(self, folder: str) -> None:
        """Have a folder's wheels listed, to be agreed to."""
        self._begin("import", folder)
        self.found_in = folder

    def import_found(self) -> None:
        """The user has agreed to what was found."""
        assert self.found is not None
        self._begin("import", self.found_in, "--confirm", self.found.confirmation)

    def remove(self) -> None:
        self._begin("remove")

    def forget_found(self) -> None:
        self.found, self.found_in = None, ""

    def _begin(self, doing: str, *options: str) -> None:
        self.start("", doing, ["runtime", doing, "--progress", "json", *options])
        if doing != self.LOOKING:
            self.found = None

    def take(self, message: Message) -> None:
        if isinstance(message, CudaRuntime):
            self.known = message
        elif isinstance(message, FoundWheels):
            self.found = message


cuda_runtime = CudaInstallation()
