"""Every attack, by name: what all of them share, and what only some of them can undo."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from queen.redteam.attacks import ATTACKS, s4l
from queen.redteam.attacks.base import Simulation, Thief
from queen.redteam.attacks.disambiguate import narrowed, shortlist
from queen.redteam.attacks.early_trust import scan_lengths
from queen.redteam.attacks.invert import explained, least_probable, true_classes
from queen.redteam.attacks.parts.copies import augmented
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.attacks.parts.readout import entropy, posterior
from queen.redteam.attacks.runner_up import is_tied, second_where_close
from queen.redteam.attacks.slow_drip import in_rotation
from queen.redteam.attacks.twice_ask import likeliest
from queen.redteam.datasets import Images, load_digits_split
from queen.redteam.networks import Regime, accuracy, build_network, train_network
from queen.redteam.targets.base import Answers, MeteredTarget

FEW, MANY = 40, 600
PREFIX = prefix_length(MANY, 10)
SPLIT = load_digits_split(0)
SHIFT = np.roll(np.arange(10), 3)

Distort = Callable[[Answers, int], Answers]


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """Networks this small are slower on more threads than on one, and few steps do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s4l, "_STEPS", 200)
        yield
    torch.set_num_threads(threads)


@cache
def _protectee() -> nn.Module:
    torch.manual_seed(0)
    return train_network(build_network("digits"), SPLIT.train_x, SPLIT.train_y, Regime(15, 0))


@dataclass
class _Account:
    """A protectee's answers, distorted by how many the account has had."""

    distort: Distort
    asked: list[Images] = field(default_factory=list)

    def ask(self, queries: Images) -> Answers:
        had = sum(map(len, self.asked))
        self.asked.append(queries)
        return self.distort(posterior(_protectee(), queries), had)


@dataclass
class _Target:
    """An endpoint in this process that keeps its accounts."""

    distort: Distort = lambda answers, _had: answers
    num_classes: int = 10
    accounts: dict[str, _Account] = field(default_factory=dict)

    def open_account(self, name: str) -> _Account:
        return self.accounts.setdefault(name, _Account(self.distort))

    def asked(self) -> Images:
        return np.concatenate([part for a in self.accounts.values() for part in a.asked])


def _train(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
    """About 100 quick steps, enough for a copy and little enough for a test."""
    torch.manual_seed(salt)
    epochs = 100 // math.ceil(len(queries) / 64)
    network = build_network("digits", 0.5)
    return train_network(network, queries, targets, Regime(epochs, salt, rate=8e-3))


def _simulate(network: nn.Module, images: Images) -> Simulation:
    """A defense of which every third answer names another class, whatever was asked."""
    clean = posterior(network, images)
    is_flagged = np.arange(len(images)) % 3 == 0
    defended = np.where(is_flagged[:, None], clean[:, SHIFT], clean)
    return Simulation(clean, defended, is_flagged)


def _thief(queries: int, *, accounts: int = 1, pool: Images = SPLIT.pool_x) -> Thief:
    return Thief("digits", pool, queries, 0, accounts, _train, _simulate)


def _steal(name: str, target: _Target, thief: Thief) -> tuple[nn.Module, MeteredTarget]:
    meter = MeteredTarget(target, thief.queries)
    return ATTACKS[name].steal(meter, thief), meter


def _score(network: nn.Module) -> float:
    return accuracy(network, SPLIT.test_x, SPLIT.test_y)


def _assert_same_copy(first: nn.Module, second: nn.Module) -> None:
    """Equal but for the last bits, which depend on how an array lies in memory."""
    one, other = (posterior(network, SPLIT.test_x) for network in (first, second))
    np.testing.assert_allclose(one, other, atol=1e-4)


@cache
def _undefended(name: str, queries: int) -> nn.Module:
    return _steal(name, _Target(), _thief(queries))[0]


def _after_prefix(change: Callable[[Answers], Answers]) -> Distort:
    """Answers that are clean until the account has had PREFIX of them."""

    def distort(answers: Answers, had: int) -> Answers:
        is_late = had + np.arange(len(answers)) >= PREFIX
        return np.where(is_late[:, None], change(answers), answers).astype(np.float32)

    return distort


def _garbage(answers: Answers) -> Answers:
    """Nearly uniform vectors, of high entropy and of a random label."""
    rng = np.random.default_rng(1)
    return rng.dirichlet(np.full(10, 20.0), len(answers)).astype(np.float32)


every_attack = pytest.mark.parametrize("name", sorted(ATTACKS))


@every_attack
def test_a_copy_gets_better_with_budget(name: str):
    """Ten times the queries to an undefended endpoint make a better copy, and a good one."""
    few, many = (_score(_undefended(name, queries)) for queries in (FEW, MANY))
    assert many > few
    assert many > 0.75


@every_attack
def test_no_budget_is_exceeded(name: str):
    """A budget that nothing divides is kept over three accounts, and all of them are used."""
    target = _Target()
    _, meter = _steal(name, target, _thief(61, accounts=3))
    assert 0 < meter.spent <= 61
    assert len(target.asked()) == meter.spent
    assert len(target.accounts) == 3


@every_attack
def test_a_seed_gives_the_same_copy(name: str):
    """Everything random follows from the seed of the thief's thief."""
    again, _ = _steal(name, _Target(), _thief(FEW))
    _assert_same_copy(again, _undefended(name, FEW))


@pytest.mark.parametrize(
    ("name", "copies"),
    [("repeat-2", 2), ("repeat-8", 8), ("twice-ask-drop", 2), ("twice-ask-invert", 2)],
)
def test_every_copy_of_an_image_is_charged(name: str, copies: int):
    """An image that is sent n times costs n queries, all of them to one account."""
    target = _Target()
    _, meter = _steal(name, target, _thief(61, accounts=3))
    assert meter.spent == 61 // copies * copies
    for account in target.accounts.values():
        _, counts = np.unique(np.concatenate(account.asked), axis=0, return_counts=True)
        assert (counts == copies).all()


def test_augmented_copies_are_charged_and_differ():
    """Smoothing sends three different copies and never the image itself."""
    target = _Target()
    _, meter = _steal("smoothing", target, _thief(61))
    assert meter.spent == 60
    assert len(np.unique(target.asked(), axis=0)) == 60
    pool = {row.tobytes() for row in SPLIT.pool_x}
    assert not pool & {row.tobytes() for row in target.asked()}


@pytest.mark.parametrize("name", ["invert-permutation", "invert-mixture"])
def test_a_fixed_permutation_is_inverted(name: str):
    """Classes permuted after the first answers are read as what they stand for."""
    permuted = _after_prefix(lambda answers: answers[:, SHIFT])
    naive, _ = _steal("knockoff", _Target(permuted), _thief(MANY))
    copy, _ = _steal(name, _Target(permuted), _thief(MANY))
    assert _score(naive) < 0.5
    assert _score(copy) > _score(_undefended("knockoff", MANY)) - 0.05


def test_the_least_probable_class_undoes_a_reversal():
    """An answer that is nearly even but for the true class gives it away."""
    reversal = _after_prefix(lambda answers: (1 - answers) / (1 - answers).sum(1, keepdims=True))
    copy, _ = _steal("invert-argmin", _Target(reversal), _thief(MANY))
    assert _score(copy) > _score(_undefended("knockoff", MANY)) - 0.05


@pytest.mark.parametrize("name", ["early-trust", "early-trust-prefix-only"])
def test_early_trust_ignores_what_comes_later(name: str):
    """Garbage after the first answers leaves the very copy that no garbage leaves."""
    copy, _ = _steal(name, _Target(_after_prefix(_garbage)), _thief(MANY))
    _assert_same_copy(copy, _undefended(name, MANY))


def test_the_scan_stops_before_the_garbage():
    """A prefix that reaches into garbage agrees less with the first answers and is not chosen."""
    copy, _ = _steal("early-trust-scan", _Target(_after_prefix(_garbage)), _thief(MANY))
    assert _score(copy) > 0.75


@pytest.mark.parametrize("name", ["discard-disagreement", "discard-entropy"])
def test_discarding_drops_the_garbage(name: str):
    """Of answers that are half garbage a discarding thief learns the better half."""

    def half(answers: Answers) -> Answers:
        is_bad = np.arange(len(answers)) % 2 == 0
        return np.where(is_bad[:, None], _garbage(answers), answers)

    target = _Target(_after_prefix(half))
    learned: list[Answers] = []

    def train(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        learned.append(targets)
        return _train(queries, targets, salt=salt)

    thief = Thief("digits", SPLIT.pool_x, MANY, 0, 1, train, _simulate)
    ATTACKS[name].steal(MeteredTarget(target, MANY), thief)
    doubtful = (entropy(learned[-1][PREFIX:]) > 2).mean()
    assert len(learned[-1]) > PREFIX + (MANY - PREFIX) / 4
    assert doubtful < 0.15


def test_what_varies_is_dropped():
    """Answers that are garbage at every second call are not learned by who asks twice."""
    rng = np.random.default_rng(2)

    def distort(answers: Answers, _had: int) -> Answers:
        is_bad = rng.random(len(answers)) < 0.5
        return np.where(is_bad[:, None], np.roll(answers, 1 + rng.integers(9), axis=1), answers)

    dropped, _ = _steal("twice-ask-drop", _Target(distort), _thief(MANY))
    believed, _ = _steal("knockoff", _Target(distort), _thief(MANY))
    assert _score(dropped) > _score(believed)


def test_a_class_that_is_always_listed_is_found_out():
    """Most of the mass on another class, mostly the same one, misleads who believes the mass."""
    rng = np.random.default_rng(3)

    def distort(answers: Answers, _had: int) -> Answers:
        moves = np.where(rng.random(len(answers)) < 0.85, 1, 4)
        others = (answers.argmax(axis=1) + moves) % 10
        return (0.4 * answers + 0.6 * np.eye(10)[others]).astype(np.float32)

    believed, _ = _steal("knockoff", _Target(distort), _thief(MANY))
    listed, _ = _steal("disambiguate", _Target(distort), _thief(MANY))
    assert _score(listed) > _score(believed) + 0.3


def test_a_belief_is_narrowed_to_the_list():
    """Classes with a tenth are listed, and the largest always; rows sum to 1 without a belief."""
    answers = np.array([[0.6, 0.3, 0.05, 0.05], [0.25, 0.25, 0.25, 0.25]], np.float32)
    listed = shortlist(answers)
    assert listed.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    even = np.full((1, 20), 0.05, np.float32)
    even[0, 3] = 0.06
    assert shortlist(even).argmax() == 3
    assert shortlist(even).sum() == 1
    belief = np.array([[0.1, 0.3, 0.6, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    expected = [[0.25, 0.75, 0, 0], [0.25, 0.25, 0.25, 0.25]]
    np.testing.assert_allclose(narrowed(listed, belief), expected, rtol=1e-6)


def test_half_of_the_mass_on_another_class_is_undone():
    """A sure answer of which half goes elsewhere has its true class second."""

    def distort(answers: Answers, _had: int) -> Answers:
        others = (answers.argmax(axis=1) + 1) % 10
        return (0.48 * answers + 0.52 * np.eye(10)[others]).astype(np.float32)

    believed, _ = _steal("knockoff", _Target(distort), _thief(MANY))
    undone, _ = _steal("runner-up", _Target(distort), _thief(MANY))
    assert _score(believed) < 0.5
    assert _score(undone) > _score(_undefended("label-only", MANY)) - 0.05


def test_equal_halves_are_told_apart_by_a_copy():
    """Of answers half of which are two equal halves, the other half says which to believe."""

    def distort(answers: Answers, _had: int) -> Answers:
        labels = answers.argmax(axis=1)
        moved = np.eye(10)[(labels + np.where(labels % 2, 1, 3)) % 10]
        is_sure = np.arange(len(answers)) % 2 == 0
        own = np.where(is_sure, 0.5, 0.45)[:, None] * np.eye(10)[labels]
        return (own + np.where(is_sure, 0.5, 0.55)[:, None] * moved).astype(np.float32)

    plain, _ = _steal("runner-up", _Target(distort), _thief(MANY))
    told, _ = _steal("runner-up-ties", _Target(distort), _thief(MANY))
    assert _score(told) > _score(_undefended("label-only", MANY)) - 0.1
    assert _score(told) > _score(plain)


def test_only_equal_halves_are_ties():
    """Two classes of the same mass, each nearly half; not two small ones, nor two unequal."""
    answers = np.array(
        [[0.5, 0.5, 0.0, 0.0], [0.6, 0.2, 0.2, 0.0], [0.25, 0.25, 0.25, 0.25], [0.51, 0.49, 0, 0]],
        np.float32,
    )
    assert is_tied(answers).tolist() == [True, False, False, False]


def test_the_second_is_believed_where_it_is_close():
    """From three tenths on; of equals the later one is second."""
    answers = np.array([[0.52, 0.48, 0], [0.6, 0.29, 0.11], [0.5, 0.0, 0.5]], np.float32)
    assert second_where_close(answers).argmax(axis=1).tolist() == [1, 0, 2]


def test_a_larger_pool_is_chosen_from():
    """Out of region, the images asked after the prefix are the ones that the copy doubts."""
    target = _Target()
    _steal("out-of-region-entropy", target, _thief(200))
    asked = target.asked()
    copy = _train(asked[:100], posterior(_protectee(), asked[:100]))
    assert np.array_equal(asked[:100], SPLIT.pool_x[:100])
    doubts = [entropy(posterior(copy, x)).mean() for x in (asked[100:], SPLIT.pool_x[100:])]
    assert doubts[0] > 1.5 * doubts[1]


def test_augmented_neighbours_go_to_the_account_of_their_image():
    """What covers a copy is the record of its own account."""
    target = _Target()
    _steal("recorded-neighbor", target, _thief(200, accounts=3))
    for account in target.accounts.values():
        first, *later = account.asked
        for part in later:
            assert np.abs(part - first[: len(part)]).max() < 0.2


def test_requests_rotate_over_classes():
    """Every class has its turn before one has a second, and none is asked out of order."""
    order = in_rotation(np.array([0, 0, 0, 0, 1, 1, 2, 0]), 2)
    assert order.tolist() == [0, 1, 4, 5, 6, 2, 3, 7]


def test_augmented_images_move_by_a_pixel():
    """Copies stay in [0, 1], keep their shape, and shift where there are pixels to shift."""
    images = np.zeros((64, 1, 28, 28), np.float32)
    images[:, :, 14, 14] = 1
    copies = augmented(images, np.random.default_rng(0))
    assert copies.shape == images.shape
    assert copies.dtype == np.float32
    assert copies.min() >= 0
    assert copies.max() <= 1
    places = np.unique(copies.reshape(64, -1).argmax(axis=1))
    assert set(places) <= {28 * row + column for row in (13, 14, 15) for column in (13, 14, 15)}
    assert len(places) > 5


def test_rotations_turn_flat_and_square_images_alike():
    """Four turns of each image, in blocks, and the first block is the images themselves."""
    square = torch.rand(5, 1, 8, 8)
    turns, quarters = s4l.turned(square)
    flat, _ = s4l.turned(square.reshape(5, 64))
    assert quarters.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert torch.equal(turns[:5], square)
    assert torch.equal(turns.reshape(20, 64), flat)
    assert torch.equal(torch.rot90(turns[5:10], 1, (-2, -1)), turns[10:15])


def test_prefix_lengths_follow_the_budget():
    """A twentieth of many queries, ten a class of fewer, and never more than half."""
    lengths = [prefix_length(asked, 10) for asked in (20_000, 600, 60, 1)]
    assert lengths == [1000, 100, 30, 1]
    assert scan_lengths(20_000, 10) == [200, 400, 1000, 2000, 4000]
    assert scan_lengths(60, 10) == [20]


def test_a_returned_class_stands_for_its_majority():
    """A class that never came back stands for itself."""
    meaning = true_classes(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 0]), 3)
    assert meaning.tolist() == [1, 0, 2]


def test_the_least_probable_of_equals_is_the_likeliest():
    """Among classes of equal probability the belief decides."""
    answers = np.array([[0.0, 0.0, 1.0]], np.float32)
    belief = np.array([[0.1, 0.6, 0.3]], np.float32)
    assert least_probable(answers, belief).tolist() == [[0, 1, 0]]


def test_a_mixture_learns_what_a_class_hides():
    """Beliefs that are right four times of five sharpen to the permutation behind the answers."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 2000)
    guess = np.where(rng.random(2000) < 0.8, truth, rng.integers(0, 10, 2000))
    belief = (0.7 * np.eye(10)[guess] + 0.03).astype(np.float32)
    targets = explained(SHIFT[truth], belief)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)
    assert (targets.argmax(axis=1) == truth).mean() > 0.99


def test_the_early_copy_chooses_among_candidates():
    """Neither answer's best two classes hold what the copy likes most, so the next one is taken."""
    answers = np.array([[[0.6, 0.3, 0.1, 0.0]], [[0.3, 0.6, 0.1, 0.0]]], np.float32)
    belief = np.array([[0.1, 0.2, 0.0, 0.7]], np.float32)
    assert likeliest(answers, belief).tolist() == [[0, 1, 0, 0]]
