import numpy as np
import pytest

from queen.bundle import open_bundle
from queen.cli.accounts.admin_values import Account, AccountSummary, ClassLedger
from queen.cli.accounts.coverage_plot import draw_coverage
from queen.errors import ConfigError
from tests.bundles import Widths, make_bundle


def account_of(bundle) -> Account:
    """An account with a record in the middle of class 0, which is crossed."""
    center = bundle.geometry.cluster_centers[0].astype(np.float32)
    ledger = ClassLedger(0, 0.25, 0.125, center)
    return Account(AccountSummary("acme", 1, (0,), 2.0), (ledger,), bundle.digest)


def test_the_picture_is_a_png(tmp_path):
    """With and without a record."""
    bundle = open_bundle(make_bundle(tmp_path / "b").path)
    empty = Account(AccountSummary("acme", 0, (), 0.0), (), bundle.digest)
    sizes = []
    for number, account in enumerate((empty, account_of(bundle))):
        path = tmp_path / f"{number}.png"
        draw_coverage(path, bundle, account)
        assert path.read_bytes().startswith(b"\x89PNG")
        sizes.append(path.stat().st_size)
    assert sizes[0] != sizes[1]


def test_embeddings_that_are_not_on_a_plane_are_not_drawn(tmp_path):
    """A sentence says so."""
    bundle = open_bundle(make_bundle(tmp_path / "b", widths=Widths(embeddings=3)).path)
    with pytest.raises(ConfigError, match="2 axes"):
        draw_coverage(tmp_path / "p.png", bundle, account_of(bundle))
