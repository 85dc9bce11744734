import json

from tests.unit.fit.findings.test_advice import GOOD


def test_a_report_is_json() -> None:
    """Every figure comes back from the text of the manifest."""
    document = GOOD.as_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["classes"][1]["name"] == "bee"
