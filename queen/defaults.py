"""The choices of an operator who states none.

Settings of the services, flags of commands and options of fits, benches and red-team runs read
their defaults here; a test holds the manifests to the same values.
"""

from __future__ import annotations

from queen.method.contracts import Profile
from queen.method.crossing import CAP_OFF
from queen.method.sensitivity import Charge

PROFILE = Profile.REFUSE
"""Profile of the accounts that name none."""
BUDGET = 100
"""Records of a class before it is crossed."""
BREADTH = 6
"""Classes that must be crossed before an owner is over its budget."""
CLASS_CAP = CAP_OFF
"""Budgets of one class after which an owner is over whatever its other classes hold."""
CHARGE = Charge.REGIONS
"""Queries that are charged."""
