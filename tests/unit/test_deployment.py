"""A deployment as a context manager, short of a running one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from queen.deployment import Deployment
from queen.errors import ConfigError, DependencyUnavailable


def test_a_deployment_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    """The sentence is that of `queen up`, and nothing is left to stop."""
    deployment = Deployment(bundle=tmp_path / "none", state=tmp_path / "state")
    with pytest.raises(DependencyUnavailable, match=r"queen: .*none: no bundle here"):
        deployment.__enter__()
    assert deployment.endpoint == ""


def test_a_running_deployment_is_read_from_its_state(tmp_path: Path) -> None:
    """Addresses, process ids and the key of the local account are where `queen up` writes them."""
    deployment = Deployment(bundle=tmp_path / "bundle", state=tmp_path)
    (tmp_path / "local.key").write_text("a key\n")
    told = {"metrics": {"inference": "127.0.0.1:2"}, "pids": {"up": 1, "sensitivity-1": 7}}
    (tmp_path / "up.json").write_text(json.dumps(told))
    assert deployment.metrics == {"inference": "127.0.0.1:2"}
    assert deployment.key == "a key"
    assert deployment.pid("sensitivity-1") == 7
    with pytest.raises(ConfigError, match="expected one of up, sensitivity-1, got 'sensitivity'"):
        deployment.pid("sensitivity")


def test_with_ledgers_elsewhere_the_state_is_a_folder_below(tmp_path: Path) -> None:
    """`queen up` keeps the rest in a folder of where it stands."""
    deployment = Deployment(bundle=tmp_path, state=tmp_path, ledgers="redis://h:1", replicas=3)
    assert deployment.state == tmp_path / ".queen"
