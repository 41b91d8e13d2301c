"""Published models: what is known of them, and the fetch that is under way. No bpy."""

from dataclasses import dataclass, field

from .contract.messages import Message, Offer
from .fetching import Fetching


@dataclass
class Weights(Fetching):
    """It lists, fetches, imports or removes; `folder` is the weights folder of the preferences."""

    offers: tuple[Offer, ...] = ()
    name: str = ""  # of the model that the command under way is about
    _heard: list[Offer] = field(default_factory=list)

    LOOKING = "list"
    CANCELLED = "Cancelled. What came so far is kept; fetching again goes on from there"

    def look(self, folder: str) -> None:
        """Have the models listed."""
        self._begin(folder, self.LOOKING)

    def fetch(self, folder: str, name: str, is_licence_accepted: bool) -> None:
        accepted = ["--accept-licence"] if is_licence_accepted else []
        self._begin(folder, "fetch", name, *accepted)

    def import_from(self, folder: str, name: str, source: str) -> None:
        self._begin(folder, "import", name, source)

    def remove(self, folder: str, name: str) -> None:
        self._begin(folder, "remove", name)

    def forget(self) -> None:
        """The weights folder is another one now."""
        self.is_stale = True

    def _begin(self, folder: str, doing: str, *options: str) -> None:
        self.start(folder, doing, [doing, "--progress", "json", *options])
        self.name = options[0] if options else ""
        self._heard = []

    def take(self, message: Message) -> None:
        if isinstance(message, Offer):
            self._heard.append(message)

    def conclude(self, doing: str) -> None:
        if doing == self.LOOKING:
            self.offers = tuple(self._heard)


weights = Weights()
