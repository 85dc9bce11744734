"""One tree of errors for the whole library.

No transport appears here: `queen.serving.status` holds the one table that maps
these classes to gRPC codes. Every message says what was expected and what was
got, and carries no tensor value, account id or secret.
"""

from __future__ import annotations


class QueenError(Exception):
    """Root of every error that Queen raises on purpose.

    `reason` is the stable UPPER_SNAKE name that callers may branch on.
    """

    reason = "QUEEN_ERROR"


class BundleError(QueenError):
    """Something is wrong with a bundle; raised by `queen.bundle`; do not retry."""

    reason = "BUNDLE_ERROR"


class BundleNotFound(BundleError):
    """The bundle's folder or one of its files is missing; do not retry."""

    reason = "BUNDLE_NOT_FOUND"


class BundleCorrupt(BundleError):
    """A file does not have the digest or the content that the manifest states; do not retry."""

    reason = "BUNDLE_CORRUPT"


class BundleVersionUnsupported(BundleError):
    """The manifest was written for a schema this version does not read; do not retry."""

    reason = "BUNDLE_VERSION_UNSUPPORTED"


class BundleMismatch(BundleError):
    """Caller and service hold different bundles; raised by the services (FAILED_PRECONDITION)."""

    reason = "BUNDLE_MISMATCH"


class FitError(QueenError):
    """A model or a training set cannot be fitted; raised by `queen.fit`; do not retry."""

    reason = "FIT_ERROR"


class ConfigError(QueenError):
    """Settings, accounts file or key file contradict themselves; do not retry."""

    reason = "CONFIG_ERROR"


class InvalidQuery(QueenError):
    """A request cannot be read; raised by decoders and servicers (INVALID_ARGUMENT); do not retry.

    `field` names the request field at fault, in proto notation, where one is to blame.
    """

    reason = "INVALID_QUERY"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ShapeMismatch(InvalidQuery):
    """A tensor has another shape, type or byte count than the model takes; do not retry."""

    reason = "SHAPE_MISMATCH"


class BatchTooLarge(InvalidQuery):
    """More rows or bytes than the service takes at once (RESOURCE_EXHAUSTED); split and retry."""

    reason = "BATCH_TOO_LARGE"


class ModelNotFound(InvalidQuery):
    """No model of that name and version is served (NOT_FOUND); do not retry."""

    reason = "MODEL_NOT_FOUND"


class AccountNotFound(InvalidQuery):
    """No ledger exists for that account (NOT_FOUND); do not retry."""

    reason = "ACCOUNT_NOT_FOUND"


class Overloaded(QueenError):
    """A bounded queue is full (RESOURCE_EXHAUSTED with a delay); retry after the delay.

    `retry_after_seconds` is that delay.
    """

    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceeded(QueenError):
    """A request's own deadline leaves no time for its answer (DEADLINE_EXCEEDED); give it more."""

    reason = "DEADLINE_EXCEEDED"


class LedgerError(QueenError):
    """A ledger store refused or failed; raised by the stores."""

    reason = "LEDGER_ERROR"


class LedgerConflict(LedgerError):
    """Another writer kept winning the compare-and-set (UNAVAILABLE); retry."""

    reason = "LEDGER_CONFLICT"


class LedgerRegressed(LedgerError):
    """The store holds fewer records than were acknowledged; repaired and counted by the service."""

    reason = "LEDGER_REGRESSED"


class DependencyUnavailable(QueenError):
    """A peer service or a store did not answer in time (UNAVAILABLE); retry."""

    reason = "DEPENDENCY_UNAVAILABLE"


class ContractViolated(QueenError):
    """An answer breaks the contract of its profile; it is never sent (INTERNAL)."""

    reason = "CONTRACT_VIOLATED"


class BudgetExceeded(QueenError):
    """An attack asks for more queries than it was given; raised by the red team; do not retry."""

    reason = "BUDGET_EXCEEDED"


class DecisionLogInvalid(QueenError):
    """A decision log cannot be read, or is of another bundle; raised by `queen.replay`."""

    reason = "DECISION_LOG_INVALID"


class Unauthenticated(QueenError):
    """No credential, or one that is not known (UNAUTHENTICATED); do not retry."""

    reason = "UNAUTHENTICATED"
