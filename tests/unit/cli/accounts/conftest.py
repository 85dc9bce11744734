import pytest

from tests.unit.cli.accounts.admin_port import serving


@pytest.fixture
def port():
    """A running admin port."""
    with serving() as running:
        yield running
