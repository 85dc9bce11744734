"""Records that memory has and the store does not, since it took none: an operator's choice."""

from __future__ import annotations

from collections.abc import Iterator

from queen_sensitivity.metrics import Level


class UnwrittenRecords:
    """Owners with records in memory alone, at most `most` records, of which `level` shows how many.

    Their accounts stay in memory, and no append of theirs is sent, until all is written back.
    """

    def __init__(self, most: int, level: Level) -> None:
        self._most = most
        self._level = level
        self._counts: dict[str, int] = {}
        self.total = 0
        """Records of all owners."""

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._counts))

    def __contains__(self, owner: object) -> bool:
        return owner in self._counts

    def hold(self, owner: str, records: int) -> bool:
        """Hold so many further records of an owner; whether there was room for them."""
        if self.total + records > self._most or not self._most:
            return False
        if not records:
            return owner in self._counts
        self._counts[owner] = self._counts.get(owner, 0) + records
        self._show()
        return True

    def release(self, owner: str) -> None:
        """Note that an owner has none any longer: they were written, or its account is void."""
        if self._counts.pop(owner, None) is not None:
            self._show()

    def _show(self) -> None:
        self.total = sum(self._counts.values())
        self._level.set(self.total)
