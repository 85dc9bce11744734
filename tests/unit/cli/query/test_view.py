"""Answers for people and for programs."""

import numpy as np
from rich.console import Console

from queen.cli.query.samples import Samples
from queen.cli.query.view import as_document, as_table
from queen.oip_client import ModelDescription


def test_json_names_a_class_only_if_the_server_did():
    """Labels always, class names where the metadata has one."""
    samples = Samples(np.array([7, 8]), np.zeros((2, 1)), None)
    model = ModelDescription("m", "x", "FP32", (-1, 1), ("cat",))
    rows = as_document(model, samples, np.array([[0.9, 0.1], [0.2, 0.8]]))["rows"]
    assert [(row["row"], row["label"]) for row in rows] == [(7, 0), (8, 1)]
    assert [row.get("class_name") for row in rows] == ["cat", None]


def test_a_table_tells_label_probability_and_truth():
    """People see the answer, how sure it is, what else it might be, and whether it is right."""
    samples = Samples(np.array([7, 8]), np.zeros((2, 1)), np.array([0, 0]))
    model = ModelDescription("m", "x", "FP32", (-1, 1), ("cat", "wild dog"))
    console = Console(width=120)
    with console.capture() as capture:
        console.print(as_table(model, samples, np.array([[0.9, 0.1], [0.2, 0.8]]), top=1))
    shown = capture.get().replace("\u00a0", " ")
    assert "m: 2 answers" in shown
    assert "0 cat" in shown
    assert "1 wild dog" in shown
    assert "90.0%" in shown
    assert "wild dog 0.800" in shown
    assert "cat 0.200" not in shown
    assert "1 of 2 answers are the true class" in shown
