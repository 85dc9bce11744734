"""Samples of lines that come again and again."""

from __future__ import annotations

from queen.serving.logs.sampling import MOST_KINDS, Rate, Sampler


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_the_first_lines_of_a_kind_pass_and_then_some_with_a_count() -> None:
    """What is left out is counted, and told by the next line that passes."""
    clock = Clock()
    sampler = Sampler(Rate(2, 0.1), clock)
    assert [sampler.admit("a") for _ in range(5)] == [0, 0, None, None, None]
    assert sampler.admit("b") == 0
    clock.now = 10.0
    assert [sampler.admit("a") for _ in range(2)] == [3, None]
    clock.now = 1000.0
    assert [sampler.admit("a") for _ in range(3)] == [1, 0, None]
    assert sampler.left_out == 5


def test_kinds_without_end_share_a_sample() -> None:
    """Whoever can vary the kind of a line cannot write without bound, nor fill the memory."""
    sampler = Sampler(Rate(1, 0.0), Clock())
    admitted = [sampler.admit(number) for number in range(10 * MOST_KINDS)]
    assert admitted.count(0) == MOST_KINDS + 1
