"""The section and the picture on reversal and secrecy."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.markdown import table
from queen.results.files import Content, bench_rows, read_content

_TEXT = """## Reversal and secrecy exclude each other

`queen bench secrecy --secrets 1`: answers to the queries of one account that `paper` flags, 20,000
queries of Fashion-MNIST. *Reversal* is the cosine of an answer to the reversed target, as a share
of the largest that an answer can have: 1 unlearns as fully as published. *Labels read* is the share
of the protectee's labels that a decoder reads from the answer alone, *with a belief* the same for a
thief with a copy of the first answers, and *leak* what that is beyond the reading of decoys. Where
the largest numbers of an answer *stay*, keyed noise shuffles the others. *A copy* is trained on
these answers alone and read at its best rank: the most probable class, the least, or another.

The reversed target is the shadows' view without the true class, and that view names the class:
whatever keeps the objective tells the label to whoever has read the paper. Noise does not help. A
random wrong class tells next to nothing, but many of them tell together which class is never named,
and a copy learns it. Numbers that are all shuffled teach a copy nothing, and mislead it no more
than silence would; what their sizes tell remains. So no answer in between is offered as a profile:
only a decoy, the answer of `strict`, tells nothing of the protectee, in one answer and in all of
them.
"""
_TITLES = ("answer", "reversal", "labels read, %", "with a belief, %", "leak", "a copy, %")
_NEAR_READ, _NEAR_REVERSAL = 0.07, 0.2
"""Points that are nearer than this would have one label upon the other."""
_INK, _FAINT, _DANGER = "#333333", "#999999", "#c0392b"


def secrecy_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each has its picture beside it: see `draw_secrecy`."""
    if not files:
        return []
    pictures = [f"![Reversal against secrecy](results/{_picture(file).name})\n" for file in files]
    return [_TEXT, *pictures, table(_TITLES, map(_cells, bench_rows(files))), ""]


def draw_secrecy(file: Path) -> Path:
    """The picture of a file of `queen bench secrecy`, a point for each answer; beside the file."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only drawing needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    rows = read_content(file)["rows"]
    figure, axes = plt.subplots(figsize=(9, 5.2), layout="constrained")
    axes.set(
        xlim=(0, 1.08),
        ylim=(0, 108),
        xlabel="how fully the answer makes a copy unlearn (1: as published)",
        ylabel="labels that a decoder reads\nfrom the answer alone, %",
        title="The more an answer undoes a copy, the more it tells of the label that it hides",
    )
    decoy = next(row for row in rows if row["answer"] == "decoy")
    axes.axhline(100 * decoy["read"], color=_FAINT, linewidth=1, linestyle=":")
    axes.text(
        *(0.01, 100 * decoy["read"] - 2, "a decoy knows the input alone:\nso much it gives away"),
        ha="left",
        va="top",
        color=_INK,
        fontsize=9,
    )
    for row in rows:
        is_crowded = any(_is_left_of(other, row) for other in rows)
        axes.plot(row["reversal"], 100 * row["read"], "o", color=_DANGER, markersize=8)
        axes.annotate(
            *(row["title"], (row["reversal"], 100 * row["read"])),
            xytext=(9 if is_crowded else -9, 4),
            textcoords="offset points",
            ha="left" if is_crowded else "right",
            color=_INK,
        )
    axes.spines[["top", "right"]].set_visible(False)
    path = _picture(file)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _is_left_of(other: Content, row: Content) -> bool:
    """Whether the point of another row lies where a label on the left would be."""
    above = abs(other["read"] - row["read"])
    behind = row["reversal"] - other["reversal"]
    return bool(above < _NEAR_READ and 0 < behind < _NEAR_REVERSAL)


def _picture(file: Path) -> Path:
    return file.with_suffix(".png")


def _cells(row: Content) -> list[str]:
    shares = (row["read"], row["read_with_belief"], row["leak"], row["learned"])
    return [row["title"], f"{row['reversal']:.2f}", *(f"{100 * share:.1f}" for share in shares)]
