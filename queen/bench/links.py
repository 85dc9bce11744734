"""Measures how well overlapping coverage tells a thief's accounts from honest accounts.

Accounts send samples; their records are those that the ledgers would keep. Every pair is
scored by `queen.method.links.linkage`, and the area under the curve says how well the score tells
pairs of a thief's accounts from honest pairs. Shapes: N samples, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bench.samples import open_protectee, read_samples, see_samples
from queen.bundle import open_bundle
from queen.method.geometry import Geometry
from queen.method.links.linkage import LIKELY_LINK, Ledgers, overlap
from queen.method.sensitivity import center_distances

NOISE = 0.02
"""Standard deviation of the noise on a copy, as a share of that of all inputs."""


@dataclass(frozen=True)
class Links:
    """The result for a way to split a thief's queries over accounts.

    `auc` 0.5 is chance; `linked` and `false_links` are the shares of thief pairs and of
    honest pairs whose score reaches LIKELY_LINK.
    """

    split: str
    accounts: int
    queries_each: int
    auc: float
    linked: float
    false_links: float
    seed: int


def run_links_bench(
    bundle_path: Path,
    data: Path,
    *,
    accounts: int = 12,
    queries: int = 500,
    seed: int = 0,
    on_split: Callable[[str], None] = lambda _name: None,
) -> list[dict[str, Any]]:
    """Rows of `Links`, one for each way to split.

    Half of `data`'s x is the population's, a quarter the honest accounts', a quarter the thief's.
    """
    bundle = open_bundle(bundle_path)
    protectee, samples = open_protectee(bundle), read_samples(data)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(samples))
    half, quarter = len(order) // 2, len(order) // 4
    crowd, pool = samples[order[:half]], samples[order[half : half + quarter]]
    others = samples[order[half + quarter :]]

    def ledger(rows: NDArray[Any]) -> Ledgers:
        return _records(bundle.geometry, *see_samples(protectee, rows))

    population = ledger(crowd)
    # Two honest accounts have no image in common, as two customers have none.
    honest = [ledger(part[:queries]) for part in np.array_split(others, accounts)]
    honest_scores = _pair_scores(bundle.geometry, honest, population)
    rows = []
    for name, parts in _splits(pool, accounts, queries, rng):
        thieves = [ledger(part) for part in parts]
        scores = _pair_scores(bundle.geometry, thieves, population)
        links = Links(
            name,
            accounts,
            queries,
            auc=round(_area(scores, honest_scores), 4),
            linked=round(float((scores >= LIKELY_LINK).mean()), 4),
            false_links=round(float((honest_scores >= LIKELY_LINK).mean()), 4),
            seed=seed,
        )
        rows.append(asdict(links))
        on_split(name)
    return rows


def _splits(
    pool: NDArray[Any], accounts: int, queries: int, rng: np.random.Generator
) -> Iterator[tuple[str, list[NDArray[Any]]]]:
    """Ways in which a thief may give `accounts` accounts `queries` samples each."""
    order = rng.permutation(len(pool))
    size = min(queries, len(pool) // accounts)
    yield "disjoint parts of a pool", [pool[part] for part in _parts(order, accounts, size)]
    tenth, rest = pool[order[: size // 10]], order[size // 10 :]
    own = _parts(rest, accounts, size - len(tenth))
    yield "a tenth in common", [np.concatenate([tenth, pool[part]]) for part in own]
    seeds = pool[order[:size]]
    scale = NOISE * float(seeds.std())
    copies = [seeds + scale * rng.normal(size=seeds.shape) for _ in range(accounts)]
    yield "noisy copies of the same samples", [copy.astype(pool.dtype) for copy in copies]


def _parts(order: NDArray[np.int64], count: int, size: int) -> list[NDArray[np.int64]]:
    """The first `count` parts of `size` positions."""
    return [order[index * size : (index + 1) * size] for index in range(count)]


def _records(
    geometry: Geometry, embeddings: NDArray[np.float32], labels: NDArray[np.int64]
) -> Ledgers:
    inside = center_distances(geometry, embeddings, labels) < geometry.sensitive_radius[labels]
    return {
        int(label): embeddings[inside & (labels == label)] for label in np.unique(labels[inside])
    }


def _pair_scores(
    geometry: Geometry, ledgers: list[Ledgers], population: Ledgers
) -> NDArray[np.float64]:
    pairs = combinations(ledgers, 2)
    scores = [overlap(geometry, left, right, population).score for left, right in pairs]
    return np.array(scores)


def _area(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Area under the curve: how often a positive scores above a negative, ties half."""
    above = (positive[:, None] > negative[None]).mean()
    ties = (positive[:, None] == negative[None]).mean()
    return float(above + 0.5 * ties)
