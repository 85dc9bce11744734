"""`queen bench serve` against real servers, as short as it can be."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np

from queen.bench.certificate import write_certificate
from queen.bench.serve import BATCHES, IN_FLIGHT, ServeOptions, count_bursts, run_serve_bench
from queen.serving.ports.pem import read_pems
from tests.bundles import make_bundle


def test_every_cell_is_measured_against_the_bare_server(tmp_path: Path):
    """The bare server's ratios are 1, and every cell of the table has five rows."""
    bundle = make_bundle(tmp_path / "bundle")
    np.savez(tmp_path / "data.npz", x=bundle.inputs, y=bundle.labels)
    options = ServeOptions(
        bundle.path, tmp_path / "data.npz", tmp_path / "state", rounds=1, seconds=0.1, tls=True
    )
    bursts = []
    rows = run_serve_bench(options, lambda: bursts.append(1))
    assert len(bursts) == count_bursts(options) == len(rows) == 5 * len(BATCHES) * len(IN_FLIGHT)
    assert {row["contestant"] for row in rows} == {
        *("bare", "within", "over", "within, TLS", "over, TLS")
    }
    for row in rows:
        assert row["requests_per_second"] > 0
        if row["contestant"] == "bare":
            assert row["requests_per_second_ratio"] == [1.0, 1.0, 1.0]


def test_the_certificate_of_the_bench_fits_its_key(tmp_path: Path) -> None:
    """A server that reads the pair starts, and no other user of the machine reads the key."""
    files = write_certificate(tmp_path)
    pems = read_pems(files)
    assert pems.certificate == pems.authorities
    assert files.key is not None
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
