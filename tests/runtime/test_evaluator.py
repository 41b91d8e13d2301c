"""The learned judge: the official vectors, and files that describe themselves."""

import json

import numpy as np
import pytest

from model_runtime.networks import WeightsError
from weights_fetcher.convert import ConvertError

DATASETS = ("t2m", "kit")


@pytest.fixture(scope="module")
def judges(shared, tmp_path_factory):
    """The tiny evaluators of the goldens, converted from the published layout and opened again."""
    pytest.importorskip("torch")
    from model_runtime.evaluation.evaluator import open_evaluator
    from weights_fetcher.evaluator import convert_evaluator

    fixtures = shared / "fixtures"
    given = json.loads((fixtures / "golden/metrics.json").read_text())["evaluator_dims"]
    folder = tmp_path_factory.mktemp("evaluators")
    for dataset in DATASETS:
        dims = given[dataset]
        sizes = {
            "movement_hidden": dims["mh"],
            "movement_size": dims["ml"],
            "motion_hidden": dims["moh"],
            "text_hidden": dims["th"],
            "size": dims["co"],
            "word_size": dims["word_dim"],
            "role_size": dims["pos_dim"],
        }
        file = folder / f"{dataset}.safetensors"
        convert_evaluator(fixtures / "checkpoints", file, dataset, sizes)
    return {dataset: open_evaluator(folder / f"{dataset}.safetensors") for dataset in DATASETS}


@pytest.mark.parametrize("dataset", DATASETS)
def test_motions_are_embedded_as_officially(judges, golden, dataset):
    import torch

    from model_runtime.evaluation.evaluator import release_order

    given, evaluator = golden(f"evaluator_{dataset}"), judges[dataset].evaluator
    motions, lengths = torch.from_numpy(given["motions"]), given["m_lens"]
    movements = evaluator.movement(motions[..., :-4])
    assert np.allclose(movements, given["movement_embeddings"], rtol=0, atol=1e-5)
    embedded = evaluator.embed_motions(motions, torch.from_numpy(lengths)).numpy()
    order = release_order(lengths)
    assert order.tolist() == given["motion_sort_order"].tolist()
    assert np.allclose(embedded[order], given["co_motion_embeddings"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dataset", DATASETS)
def test_texts_are_embedded_as_officially(judges, golden, dataset):
    from model_runtime.evaluation.evaluator import Words, release_order

    given = golden(f"evaluator_{dataset}")
    texts = Words(given["word_embeddings"], given["pos_onehot"], given["caption_lens"])
    embedded = judges[dataset].embed_texts(texts)
    assert np.allclose(embedded, given["text_embeddings_input_order"], rtol=0, atol=1e-5)
    ordered = embedded[release_order(given["m_lens"])]
    assert np.allclose(ordered, given["co_text_embeddings"], rtol=0, atol=1e-5)


def test_a_motion_is_judged_alike_alone_and_among_others(judges):
    judge = judges["t2m"]
    rng = np.random.default_rng(0)
    clips = [judge.mean + judge.std * rng.normal(size=(n, 263)) for n in (44, 20, 61)]
    together = judge.embed_motions(clips)
    assert np.array_equal(together[2:], judge.embed_motions(clips[2:]))
    assert np.array_equal(together[2:], judge.embed_motions([clips[2][:60]]))


def test_contacts_are_not_seen(judges):
    clip = np.random.default_rng(1).normal(size=(40, 263))
    other = clip.copy()
    other[:, -4:] = 1.0
    judge = judges["t2m"]
    assert np.array_equal(judge.embed_motions([clip]), judge.embed_motions([other]))


def test_what_does_not_fit_is_named(shared, tmp_path):
    pytest.importorskip("torch")
    from model_runtime.evaluation.evaluator import open_evaluator
    from weights_fetcher.evaluator import convert_evaluator

    tree = shared / "fixtures/checkpoints"
    with pytest.raises(ConvertError, match=r"main\.0\.weight is \(24, 259, 4\)"):
        convert_evaluator(tree, tmp_path / "out.safetensors")  # sizes of the published one
    assert not list(tmp_path.iterdir())
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="is not an evaluator"):
        open_evaluator(broken)
