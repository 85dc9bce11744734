"""The goals for the measures of `queen bench state`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """Bounds of a measure: a run meets the goal from `least` to `most`."""

    key: str
    title: str
    least: float = 0.0
    most: float = float("inf")

    def verdict(self, measured: float) -> str:
        """The goal in words, and whether it is met; empty if there is none."""
        if self.most == float("inf") and not self.least:
            return ""
        bounds = [f">= {self.least:,g}"] * bool(self.least)
        bounds += [f"<= {self.most:,g}"] * (self.most < float("inf"))
        return f"{', '.join(bounds)} {'met' if self.least <= measured <= self.most else 'MISSED'}"


GOALS = (
    Goal("assess_per_second_per_core", "queries a second and core", least=100_000),
    Goal("append_over_bare_lua", "append to Redis over a bare Lua call", most=1.5),
    Goal("p50_ratio_accounts", "p50 with many accounts over that with 10", 0.8, 1.2),
    Goal("p50_ratio_records", "p50 at most records of a class over that at 0", 0.8, 1.2),
    Goal("bytes_per_account", "resident bytes of an account, 500 records"),
    Goal("bytes_per_empty_account", "resident bytes of an account without a record"),
    Goal("rss_gib_1m_accounts", "resident GiB after all accounts", most=4.0),
)
