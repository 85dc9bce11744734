"""When honest accounts are over, by their traffic."""

from __future__ import annotations

from queen.method.crossing import CAP_OFF
from queen.method.honest.traffic import Kind
from queen.redteam.frontier.customers import honest_samples, measure_kind, see_images
from queen.redteam.frontier.policies import contenders
from queen.redteam.runs.experiment import Experiment


def test_breadth_spares_accounts_of_one_class(small_experiment: Experiment) -> None:
    """A row for each policy, from the same walk; a cap takes back what the breadth spares."""
    bundle = small_experiment.bundle()
    policies = list(contenders(bundle, 3, breadths=(1, 5), caps=(2, CAP_OFF)))
    one_class = list(measure_kind(small_experiment, Kind.ONE_CLASS, policies, 12))
    published, capped, broad = one_class
    assert published["over"] == 12
    assert published["answers"][0] < capped["answers"][0]
    assert broad["over"] < 12
    assert [row["breadth"] for row in one_class] == [1, 5, 5]
    assert len({row["cell"] for row in one_class}) == 3
    even = list(measure_kind(small_experiment, Kind.EVEN, policies, 12))
    assert even[2]["over"] == 12
    assert published["answers"][1] < even[0]["answers"][1] < even[2]["answers"][1]


def test_images_are_walked_as_the_protectee_sees_them(small_experiment: Experiment) -> None:
    """By embedding and predicted class."""
    images = small_experiment.split.test_x
    walk = see_images(small_experiment, images)
    assert (walk.samples.labels == small_experiment.test_labels).all()
    assert 0.2 < walk.samples.sensitive.mean() < 0.9
    assert set(honest_samples(small_experiment).kinds()) == set(Kind)
