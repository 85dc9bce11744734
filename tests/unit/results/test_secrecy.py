"""The section and the picture on reversal and secrecy."""

from __future__ import annotations

import json
from pathlib import Path

from queen.results.secrecy import draw_secrecy, secrecy_section

ROWS = [
    {
        "answer": name,
        "title": f"answer {name}",
        "reversal": reversal,
        "read": read,
        "read_with_belief": 0.9,
        "leak": read - 0.5,
        "learned": 0.7,
    }
    for name, reversal, read in (("published", 1.0, 0.998), ("decoy", 0.25, 0.5))
]


def test_a_file_gets_a_line_for_each_answer_and_a_picture(tmp_path: Path) -> None:
    """The picture lies beside the file, and the section shows it."""
    file = tmp_path / "secrecy-fashion-mnist-0.json"
    file.write_text(json.dumps({"bench": "secrecy", "rows": ROWS}))
    picture = draw_secrecy(file)
    assert picture == tmp_path / "secrecy-fashion-mnist-0.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = "\n".join(secrecy_section([file]))
    assert "(results/secrecy-fashion-mnist-0.png)" in lines
    assert "| answer published | 1.00 | 99.8 | 90.0 | 49.8 | 70.0 |" in lines
    assert secrecy_section([]) == []
