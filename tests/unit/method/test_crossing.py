"""The crossing policy, apart from the ledgers that it is applied to."""

from __future__ import annotations

from queen.api.v1 import sensitivity_pb2 as pb
from queen.method.crossing import CAP_OFF


def test_no_cap_fits_the_wire() -> None:
    """The number for no cap is the largest that its field holds."""
    assert pb.AccountPolicy(budget=CAP_OFF).budget == CAP_OFF
