"""Whether what was fetched, and what was made of it, is still as it was."""

from model_runtime.weights_folder import Part, WeightsError, read_card, read_verified
from weights_fetcher.catalogue import Model
from weights_fetcher.store import READY, Store


def faults(store: Store, model: Model) -> list[str]:
    """What is wrong with a model's files, one line each; all of them are hashed."""
    found = [
        f"{store.path(model, file)} {fault}"
        for file in model.files
        if (fault := store.fault(model, file))
    ]
    if store.state(model) == READY:
        found += _faults_of_converted(store, model)
    return found


def unlisted(model: Model) -> list[str]:
    """Files that are compared with what first came, as no hash of them was published."""
    return [file.path for file in model.files if not file.sha256]


def _faults_of_converted(store: Store, model: Model) -> list[str]:
    try:
        card = read_card(store.converted(model))
    except WeightsError as error:
        return [str(error)]
    parts: list[Part] = [card.statistics, *card.parts.values(), *card.graphs.values()]
    parts += [part.vocabulary for part in card.parts.values() if part.vocabulary]
    found = []
    for part in parts:
        try:
            read_verified(card.folder, part)
        except WeightsError as error:
            found.append(str(error))
    return found
