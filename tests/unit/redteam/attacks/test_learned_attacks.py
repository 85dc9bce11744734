"""The attacks that learn an inverse, a table, or where to ask next, against real digits."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from queen.errors import ConfigError
from queen.method.gradient_reverse import gradient_reverse
from queen.redteam.attacks import ATTACKS, art_library, d_dae, full_knowledge, jbda, partial_bayes
from queen.redteam.attacks.base import Simulation, Thief, one_hot
from queen.redteam.attacks.parts.simulated import simulate_spread
from queen.redteam.datasets import Images, Split, load_digits_split
from queen.redteam.networks import (
    Regime,
    accuracy,
    build_network,
    predict,
    train_network,
    train_piracy_model,
)
from queen.redteam.targets.base import Answers, MeteredTarget


@pytest.fixture(scope="module")
def split() -> Split:
    """The digits, divided."""
    return load_digits_split(0)


@pytest.fixture(scope="module")
def protectee(split: Split) -> nn.Module:
    """A network that has learned them."""
    torch.manual_seed(0)
    return train_network(build_network("digits"), split.train_x, split.train_y, Regime(10, 0))


def softmax(network: nn.Module, images: Images) -> Answers:
    """Probabilities (N, C) of images (N, ...)."""
    with torch.inference_mode():
        return network(torch.from_numpy(images)).softmax(dim=1).numpy()


def distorted(clean: Answers) -> Answers:
    """A defense that can be undone: classes moved by one, and a third of the mass spread."""
    return (np.roll(clean, 1, axis=1) * 2 / 3 + 1 / 30).astype(np.float32)


class Served:
    """A protectee behind a defense; `received` are the batches of each account."""

    num_classes = 10

    def __init__(self, network: nn.Module, defense: Callable[[Answers], Answers]) -> None:
        self.network, self.defense = network, defense
        self.received: dict[str, list[Images]] = {}

    def open_account(self, name: str) -> Served._Account:
        """An account that remembers what it was asked."""
        return self._Account(self, self.received.setdefault(name, []))

    class _Account:
        def __init__(self, served: Served, received: list[Images]) -> None:
            self.served, self.received = served, received

        def ask(self, queries: Images) -> Answers:
            """Defended answers."""
            self.received.append(queries)
            return self.served.defense(softmax(self.served.network, queries))


def is_odd(images: Images) -> np.ndarray:
    """A verdict that anyone can foresee: whether the gray levels of an image sum to an odd one."""
    return np.rint(images.sum(axis=1) * 16).astype(int) % 2 == 1


def simulate(twin: nn.Module, images: Images) -> Simulation:
    """The simulation of a thief who knows `distorted` and `is_odd`."""
    clean = softmax(twin, images)
    return Simulation(clean, distorted(clean), is_odd(images))


class Lessons:
    """A thief's training that keeps the lessons; only the first one is really learned."""

    def __init__(self) -> None:
        self.given: list[tuple[Images, Answers]] = []
        self.copies: list[nn.Module] = []

    def __call__(self, queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        """A copy of the first lesson."""
        self.given.append((queries, targets))
        learned = (
            train_piracy_model("digits", queries, targets, seed=salt) if not self.copies else 0
        )
        self.copies.append(learned or self.copies[0])
        return self.copies[-1]


def thief_of(split: Split, queries: int, train: Lessons | None = None, accounts: int = 1) -> Thief:
    """What a thief of the digits has."""
    return Thief("digits", split.pool_x, queries, 0, accounts, train or Lessons(), simulate)


def steal(name: str, protectee: nn.Module, thief: Thief, defense=distorted) -> Served:
    """Run an attack within the budget; what was served."""
    served = Served(protectee, defense)
    meter = MeteredTarget(served, thief.queries)
    ATTACKS[name].steal(meter, thief)
    asked = sum(len(batch) for batches in served.received.values() for batch in batches)
    assert asked == meter.spent == thief.queries
    return served


def l1(one: Answers, other: Answers) -> float:
    """Mean L1 distance of the rows."""
    return float(np.abs(one - other).sum(axis=1).mean())


def test_the_restorer_undoes_a_known_distortion(protectee: nn.Module, split: Split):
    """On answers it never saw, the restored ones are far nearer to the clean than the defended."""
    known, unseen = softmax(protectee, split.pool_x[:400]), softmax(protectee, split.pool_x[400:])
    restorer = d_dae.train_restorer(known, distorted(known), seed=0)
    restored = d_dae.restore(restorer, distorted(unseen))
    assert l1(restored, unseen) < 0.3 * l1(distorted(unseen), unseen)
    np.testing.assert_allclose(restored.sum(axis=1), 1, atol=1e-5)


def test_a_restorer_follows_from_its_seed(protectee: nn.Module, split: Split):
    """Two of one seed are the same, and the global generator stays where it was."""
    clean = softmax(protectee, split.pool_x[:50])
    before = torch.get_rng_state()
    first, second = (
        d_dae.restore(d_dae.train_restorer(clean, clean, seed=3, epochs=2), clean) for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_drawn_pairs_are_near_the_clean_answers(protectee: nn.Module, split: Split):
    """A draw is on the simplex, near its clean answer, and paired with the nearest one's."""
    clean = softmax(protectee, split.pool_x[:60])
    known = Simulation(clean, distorted(clean), np.ones(60, bool))
    drawn, defended = d_dae.dirichlet_pairs(known, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.sum(axis=1), 1, atol=1e-5)
    assert l1(drawn, clean) < 0.4
    nearest = np.abs(drawn[:, None] - clean[None]).sum(axis=2).argmin(axis=1)
    assert np.array_equal(defended, distorted(clean)[nearest])


@pytest.mark.parametrize("name", ["d-dae", "d-dae-plus"])
def test_d_dae_learns_restored_answers(protectee: nn.Module, split: Split, name: str):
    """The last lesson has the protectee's labels, which none of the returned answers had."""
    lessons = Lessons()
    steal(name, protectee, thief_of(split, 400, lessons))
    queries, targets = lessons.given[-1]
    wanted = predict(protectee, queries)
    assert (distorted(softmax(protectee, queries)).argmax(axis=1) != wanted).all()
    assert (targets.argmax(axis=1) == wanted).mean() > 0.5


def test_partial_bayes_returns_clean_vectors_of_the_same_top_1(protectee: nn.Module, split: Split):
    """Flattened answers come back sharper, nearer to the clean, and with their own label."""
    known, unseen = softmax(protectee, split.pool_x[:400]), softmax(protectee, split.pool_x[400:])
    flat = [(0.3 * rows + 0.07).astype(np.float32) for rows in (known, unseen)]
    table = Simulation(known, flat[0], np.zeros(400, bool))
    restored = partial_bayes.restore_from_table(table, flat[1])
    assert np.array_equal(restored.argmax(axis=1), flat[1].argmax(axis=1))
    assert l1(restored, unseen) < 0.3 * l1(flat[1], unseen)


def test_partial_bayes_averages_the_nearest_entries():
    """Of three entries with the label, the two nearest count; without any the answer stays."""
    clean = np.array([[1, 0, 0], [0.8, 0.2, 0], [0.6, 0.4, 0], [0, 1, 0]], np.float32)
    table = Simulation(clean, clean, np.zeros(4, bool))
    answers = np.array([[0.9, 0.1, 0], [0, 0, 1]], np.float32)
    restored = partial_bayes.restore_from_table(table, answers, neighbors=2)
    np.testing.assert_allclose(restored, [[0.9, 0.1, 0], [0, 0, 1]], atol=1e-6)


def test_partial_bayes_learns_from_its_table(protectee: nn.Module, split: Split):
    """The last lesson has the labels of the answers and none of their values."""
    lessons = Lessons()
    steal("partial-bayes", protectee, thief_of(split, 200, lessons))
    queries, targets = lessons.given[-1]
    answers = distorted(softmax(protectee, queries))
    assert np.array_equal(targets.argmax(axis=1), answers.argmax(axis=1))
    assert l1(targets, answers) > 0.2


def test_full_knowledge_drops_exactly_what_the_rehearsal_flags(protectee: nn.Module, split: Split):
    """The last lesson is the stream without the flagged queries, with their answers."""
    lessons = Lessons()
    steal("full-knowledge-discard", protectee, thief_of(split, 300, lessons))
    kept = split.pool_x[:300][~is_odd(split.pool_x[:300])]
    assert 0 < len(kept) < 300
    assert np.array_equal(lessons.given[-1][0], kept)
    np.testing.assert_allclose(lessons.given[-1][1], distorted(softmax(protectee, kept)), atol=1e-6)


def test_full_knowledge_keeps_the_twin_if_all_is_flagged(protectee: nn.Module, split: Split):
    """With nothing to learn from, the copy is the one of the first answers."""
    lessons = Lessons()

    def all_flagged(twin: nn.Module, images: Images) -> Simulation:
        clean = softmax(twin, images)
        return Simulation(clean, clean, np.ones(len(images), bool))

    thief = Thief("digits", split.pool_x, 100, 0, 1, lessons, all_flagged)
    target = MeteredTarget(Served(protectee, distorted), 100)
    assert full_knowledge.steal_discarding(target, thief) is lessons.copies[0]
    assert len(lessons.given) == 1


def test_full_knowledge_inverts_only_what_is_flagged(protectee: nn.Module, split: Split):
    """Answers that are not flagged are learned as they are, the others from the twin."""
    lessons = Lessons()
    steal("full-knowledge-invert", protectee, thief_of(split, 300, lessons))
    queries, targets = lessons.given[-1]
    flagged, answers = is_odd(queries), distorted(softmax(protectee, queries))
    np.testing.assert_allclose(targets[~flagged], answers[~flagged], atol=1e-6)
    twin = softmax(lessons.copies[0], queries[flagged])
    assert np.array_equal(targets[flagged], full_knowledge.invert_reversal(answers[flagged], twin))


def test_a_reversal_is_inverted_by_the_shadow_it_was_made_of():
    """With the mean shadow itself, an unclipped gradient reversal gives the truth back."""
    shadow = np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]], np.float32)
    truth = np.array([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]], np.float32)
    reversed_rows = gradient_reverse(torch.from_numpy(truth), torch.from_numpy(shadow)).numpy()
    found = full_knowledge.invert_reversal(reversed_rows.astype(np.float32), shadow)
    np.testing.assert_allclose(found, truth, atol=1e-5)


def test_an_answer_that_is_no_reversal_leaves_the_label_of_the_twin():
    """An answer on a class that the twin nearly rules out cannot come from it."""
    twin = np.array([[0.6, 0.39, 0.01]], np.float32)
    answers = np.array([[0, 0, 1]], np.float32)
    assert np.array_equal(full_knowledge.invert_reversal(answers, twin), one_hot(twin))


@pytest.mark.parametrize("accounts", [1, 3, 40])
def test_each_account_rehearses_what_it_asks(protectee: nn.Module, split: Split, accounts: int):
    """The simulation's shares are those of the accounts; its rows are in the stream's order."""
    shares: list[Images] = []

    def remember(twin: nn.Module, images: Images) -> Simulation:
        shares.append(images)
        return simulate(twin, images)

    thief = Thief("digits", split.pool_x, 30, 0, accounts, Lessons(), remember)
    served = Served(protectee, distorted)
    ATTACKS["partial-bayes"].steal(MeteredTarget(served, 30), thief)
    asked = [np.concatenate(batches) for batches in served.received.values()]
    assert len(asked) == len(shares)
    assert all(np.array_equal(one, other) for one, other in zip(asked, shares, strict=True))
    whole = simulate_spread(thief, protectee, 15)
    np.testing.assert_allclose(whole.clean, softmax(protectee, thief.stream), atol=1e-6)
    assert np.array_equal(whole.is_flagged, is_odd(thief.stream))


def test_copies_stay_near_their_parents(protectee: nn.Module, split: Split):
    """Copies are within 0.1 of their parents and in [0, 1], and leave their parents' classes."""
    parents, rng = split.pool_x[:50], np.random.default_rng(0)
    copies, origins = jbda.targeted_copies(protectee, parents, 10, 150, rng)
    assert np.bincount(origins).tolist() == [3] * 50
    distances = np.abs(copies - parents[origins]).max(axis=1)
    assert distances.max() <= jbda.EPSILON + 1e-6
    assert distances.min() > 0.05
    assert (copies.min(), copies.max()) == (0.0, 1.0)
    labels, rows = predict(protectee, parents)[origins], np.arange(150)
    before, after = softmax(protectee, parents[origins]), softmax(protectee, copies)
    assert (after[rows, labels] < before[rows, labels]).mean() > 0.9


def test_the_copies_of_an_image_go_to_different_classes(protectee: nn.Module, split: Split):
    """No two of the three are the same image."""
    copies, _ = jbda.targeted_copies(protectee, split.pool_x[:20], 10, 60, np.random.default_rng(0))
    assert len({copy.tobytes() for copy in copies}) == 60


@pytest.mark.parametrize("queries", [7, 100, 700])
def test_jbda_spends_its_budget_to_the_last_query(protectee, split: Split, queries: int):
    """A tenth are seeds, the rest their copies, even where the pool holds fewer images."""
    lessons = Lessons()
    served = steal("jbda-tr", protectee, thief_of(split, queries, lessons))
    seeds = served.received["thief-0"][0]
    assert np.array_equal(seeds, split.pool_x[: max(queries // 10, 1)])
    assert len(lessons.given) == 1
    assert len(lessons.given[0][0]) == queries


@pytest.mark.parametrize("name", ["art-knockoff", "art-copycat"])
def test_the_library_is_charged_for_every_row(protectee: nn.Module, split: Split, name: str):
    """It asks about the whole stream once, over all accounts, and gives a copy above chance."""
    served, thief = Served(protectee, lambda clean: clean), thief_of(split, 300, accounts=4)
    meter = MeteredTarget(served, 300)
    copy = ATTACKS[name].steal(meter, thief)
    assert meter.spent == 300
    asked = {name: np.concatenate(batches) for name, batches in served.received.items()}
    assert [len(rows) for rows in asked.values()] == [75] * 4
    rows = np.concatenate(list(asked.values()))
    assert {row.tobytes() for row in rows} <= {row.tobytes() for row in thief.stream}
    assert accuracy(copy, split.test_x, split.test_y) > 0.6


def test_the_library_follows_from_the_seed(protectee: nn.Module, split: Split):
    """It draws the same twice, and leaves the global generators where they were."""
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    copies = [
        ATTACKS["art-copycat"].steal(
            MeteredTarget(Served(protectee, distorted), 20), thief_of(split, 20)
        )
        for _ in range(2)
    ]
    first, second = (copy.state_dict() for copy in copies)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())


def test_a_missing_library_is_named(protectee, split: Split, monkeypatch: pytest.MonkeyPatch):
    """The error says what to install, and nothing was asked."""
    for module in [name for name in sys.modules if name.split(".")[0] == "art"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "art", None)
    meter = MeteredTarget(Served(protectee, distorted), 10)
    with pytest.raises(ConfigError, match=r"queen\[redteam\]"):
        art_library.ATTACKS[0].steal(meter, thief_of(split, 10))
    assert meter.spent == 0
