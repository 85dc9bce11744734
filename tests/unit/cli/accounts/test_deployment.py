import json
from pathlib import Path

import pytest

from queen.cli.accounts.deployment import Deployment
from queen.cli.refusal import Refusal
from queen.errors import ConfigError
from queen.serving.auth import key_digest

NOWHERE = "127.0.0.1:1"
CONTENT = f"""
groups:
  - {{id: acme, budget: 300}}
accounts:
  - {{id: web, key_sha256: {key_digest("a")}, group: acme, profile: safe}}
  - {{id: batch, key_sha256: {key_digest("b")}, group: acme, budget: 200}}
  - {{id: checks, key_sha256: {key_digest("c")}, exempt: true}}
"""


@pytest.fixture
def file(tmp_path):
    """An accounts file with a group, an own budget and an exempt account."""
    path = tmp_path / "accounts.yaml"
    path.write_text(CONTENT)
    return path


def published(folder: Path, **content: object) -> Deployment:
    """The `queen up` of a folder that published this."""
    (folder / "up.json").write_text(json.dumps(content))
    return Deployment(None, folder)


def test_the_file_of_the_running_deployment_is_read(file, tmp_path):
    """Its path is in up.json; another admin port has no file, nor has a folder without one."""
    assert Deployment(None, tmp_path).policies(None) is None
    assert published(tmp_path, accounts=str(file)).policies(None).crossings["batch"].budget == 200
    assert Deployment("127.0.0.1:8103", tmp_path).policies(None) is None


def test_a_file_that_is_given_comes_first(file, tmp_path):
    """Whichever deployment is asked."""
    assert Deployment("127.0.0.1:8103", tmp_path).policies(file).crossings["batch"].budget == 200


@pytest.mark.parametrize("content", [None, "accounts: 3\n"])
def test_a_broken_file_hides_no_account(tmp_path, capsys, content):
    """The file of `queen up` is said to be broken; a file that was given is refused."""
    file = tmp_path / "accounts.yaml"
    if content is not None:
        file.write_text(content)
    deployment = published(tmp_path, accounts=str(file))
    assert deployment.policies(None) is None
    assert "default budget" in capsys.readouterr().err
    with pytest.raises((ConfigError, OSError)):
        deployment.policies(file)


def test_admin_ports_are_those_of_the_running_deployment(tmp_path):
    """Unless a port is given; a deployment without an admin port needs one."""
    admins = {"sensitivity-0": "127.0.0.1:1", "sensitivity-1": "127.0.0.1:2"}
    assert published(tmp_path, admins=admins).admin_ports == admins
    assert Deployment(NOWHERE, tmp_path).admin_ports == {"sensitivity": NOWHERE}
    with pytest.raises(ConfigError, match="Give --admin HOST:PORT"):
        _ = published(tmp_path, admins={}).admin_ports


def test_the_first_admin_port_that_listens_is_asked(port, tmp_path):
    """A replica that is away is passed over."""
    admins = {"sensitivity-0": NOWHERE, "sensitivity-1": port.address}
    with published(tmp_path, admins=admins).client() as client:
        assert client.account("acme").summary.records == 12


def test_errors_are_one_sentence(port, tmp_path):
    """No server, and the words of a server that refuses."""
    for address, account, words in (
        (NOWHERE, "acme", f"nothing answers at {NOWHERE}"),
        (port.address, "nobody", "NOT_FOUND"),
    ):
        deployment = Deployment(address, tmp_path)
        with pytest.raises(Refusal, match=words), deployment.client() as client:
            client.account(account)


def test_the_key_of_a_deployment_is_sent_to_its_own_ports(port, tmp_path):
    """An admin port that is given may be another's; a key that is given goes wherever it is."""
    (tmp_path / "operator.key").write_text("key-of-local\n")
    with published(tmp_path, admins={"sensitivity": port.address}).client() as client:
        client.account("acme")
    assert port.headers == {"Bearer key-of-local"}
    with Deployment(port.address, tmp_path).client() as client:
        client.account("acme")
    assert port.headers == {"Bearer key-of-local"}
    (tmp_path / "mine").write_text("key-of-ana\n")
    with Deployment(port.address, tmp_path, tmp_path / "mine").client() as client:
        client.account("acme")
    assert port.headers == {"Bearer key-of-local", "Bearer key-of-ana"}


def test_a_socket_without_a_process_is_passed_over(port, tmp_path):
    """The next admin port is asked, as for ports of TCP."""
    admins = {"sensitivity-0": f"unix:{tmp_path / 'gone.sock'}", "sensitivity-1": port.address}
    with published(tmp_path, admins=admins).client() as client:
        assert client.account("acme").summary.records == 12
