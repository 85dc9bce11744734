"""The tree of errors of the whole library.

No transport appears here: `queen.serving.status` holds the only table that maps these classes to
gRPC codes. Each docstring says who raises the error, whether to retry, and the code that a caller
gets. An error without a code ends a start or a command: a service that meets it while it serves
answers INTERNAL. Every message says what was expected and what was got, and carries no tensor
value, account id or secret.
"""

from __future__ import annotations


class QueenError(Exception):
    """Root of every error that Queen raises on purpose.

    `reason` is the stable UPPER_SNAKE name that callers may branch on.
    """

    reason = "QUEEN_ERROR"


class ConfigError(QueenError):
    """Settings, an accounts file or a key file that a service cannot be started with.

    Raised before a service serves, and by commands. Do not retry: mend the setting.
    """

    reason = "CONFIG_ERROR"


class BundleError(QueenError):
    """A bundle cannot be written or read. Raised by `queen.bundle`; do not retry."""

    reason = "BUNDLE_ERROR"


class BundleNotFound(BundleError):
    """The bundle's folder or a file in it is missing. Raised by `queen.bundle`; do not retry."""

    reason = "BUNDLE_NOT_FOUND"


class BundleCorrupt(BundleError):
    """A file of the bundle has another digest or content than the manifest states.

    Raised by `queen.bundle` and by the services when they load it. Do not retry: refit.
    """

    reason = "BUNDLE_CORRUPT"


class BundleVersionUnsupported(BundleError):
    """The manifest has a schema that this version does not read.

    Raised by `queen.bundle`. Do not retry: refit.
    """

    reason = "BUNDLE_VERSION_UNSUPPORTED"


class BundleMismatch(BundleError):
    """A caller and a service hold different bundles (FAILED_PRECONDITION).

    Raised by the sensitivity and perturber services. Do not retry: roll out one bundle.
    """

    reason = "BUNDLE_MISMATCH"


class SecretMismatch(QueenError):
    """An answer is asked for under a secret that the perturber does not hold (FAILED_PRECONDITION).

    Raised by the perturber, with the fingerprints alone. Ask for its identity again, then retry.
    """

    reason = "SECRET_MISMATCH"


class FitError(QueenError):
    """A model or a training set cannot be fitted. Raised by `queen.fit`; do not retry."""

    reason = "FIT_ERROR"


class InvalidQuery(QueenError):
    """A request cannot be read (INVALID_ARGUMENT).

    Raised by decoders and servicers, and by the method for values out of range. Do not retry.
    `field` names the request field at fault, in proto notation, where a field is to blame.
    """

    reason = "INVALID_QUERY"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class MalformedMessage(InvalidQuery):
    """The bytes of a call are no message, or one of too many fields (INVALID_ARGUMENT).

    Raised by the server, before a servicer sees the call. Do not retry.
    """

    reason = "MALFORMED_MESSAGE"


class ShapeMismatch(InvalidQuery):
    """A tensor has another shape, type or byte count than the model expects (INVALID_ARGUMENT).

    Raised by decoders. Do not retry.
    """

    reason = "SHAPE_MISMATCH"


class OutOfRange(InvalidQuery):
    """An input holds numbers beyond the range of the training data (INVALID_ARGUMENT).

    Raised by the front door, before the model runs and before anything is charged. Do not retry:
    scale and clip the input as for training.
    """

    reason = "OUT_OF_RANGE"


class BatchTooLarge(InvalidQuery):
    """A request has more rows or bytes than a service accepts in a call (RESOURCE_EXHAUSTED).

    Raised by decoders, and by the server for a message above its limit. Split the request and
    retry.
    """

    reason = "BATCH_TOO_LARGE"


class ModelNotFound(InvalidQuery):
    """No model of that name and version is served (NOT_FOUND).

    Raised by the front door. Do not retry.
    """

    reason = "MODEL_NOT_FOUND"


class AccountNotFound(InvalidQuery):
    """No ledger exists for that account (NOT_FOUND). Raised by the admin API; do not retry."""

    reason = "ACCOUNT_NOT_FOUND"


class Unauthenticated(QueenError):
    """A call has no credential, or none that can be accepted (UNAUTHENTICATED).

    Raised by whoever reads credentials, never with the credential in the message. `reason` says
    which it is: missing, unknown, expired, or of another issuer. Do not retry.
    """

    reason = "UNAUTHENTICATED"

    def __init__(self, message: str, *, reason: str = reason) -> None:
        super().__init__(message)
        self.reason = reason


class PermissionDenied(QueenError):
    """A credential is genuine, and not one that may make this call (PERMISSION_DENIED).

    Raised by whoever reads credentials. `reason` says what is lacking. Do not retry.
    """

    reason = "PERMISSION_DENIED"

    def __init__(self, message: str, *, reason: str = reason) -> None:
        super().__init__(message)
        self.reason = reason


class Overloaded(QueenError):
    """A bounded queue is full (RESOURCE_EXHAUSTED).

    Raised by all three services. Retry after `retry_after_seconds`, which the caller is told.
    """

    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OverBudget(QueenError):
    """An account is over its budget, and answers to new queries have ended (RESOURCE_EXHAUSTED).

    Raised by the front door under the profile `refuse`, and charged nothing. Do not retry: time
    does not help. The caller asks the operator for a larger budget or for a reset.
    """

    reason = "OVER_BUDGET"


class DeadlineExceeded(QueenError):
    """A request's own deadline leaves no time for its answer (DEADLINE_EXCEEDED).

    Raised by the front door, and by a server whose caller takes too long to send a message. Retry
    with more time.
    """

    reason = "DEADLINE_EXCEEDED"


class DependencyUnavailable(QueenError):
    """A peer service or a store did not answer in time (UNAVAILABLE).

    Raised by the ledger stores, by the front door's clients and by a server that drains. Retry.
    """

    reason = "DEPENDENCY_UNAVAILABLE"


class LedgerFull(DependencyUnavailable):
    """The ledger store answers and takes no records: a full or read-only disk (RESOURCE_EXHAUSTED).

    Raised by the ledger stores, and by the front door for a request that would have to be recorded.
    Do not retry: it mends once an operator has made room.
    """

    reason = "LEDGER_FULL"


class PeerUnavailable(DependencyUnavailable):
    """A peer is gone, failed its last health probe, or serves another bundle (UNAVAILABLE).

    Raised by the front door's peers, and handled there. Ask another replica at once.
    """


class PeerOverloaded(DependencyUnavailable):
    """A peer is full, does not take so large a request, or went unheard (UNAVAILABLE).

    Raised by the front door's peers, and handled there: callers get Overloaded. Callers can cause
    this error, so they must gain nothing by it: neither another replica nor the failure mode.
    """


class LedgerError(QueenError):
    """The ledgers in memory and in the store contradict each other, which is a bug (INTERNAL).

    Raised by the sensitivity engine. Do not retry.
    """

    reason = "LEDGER_ERROR"


class LedgerConflict(LedgerError):
    """Another writer won the compare-and-set too many times in a row (UNAVAILABLE).

    Raised by the sensitivity engine. Retry.
    """

    reason = "LEDGER_CONFLICT"


class LedgerCorrupt(LedgerError):
    """The store holds records that are no ledger (DATA_LOSS).

    Raised by the ledger stores, when a ledger is loaded, and by the front door for a request of its
    account. Do not retry: every call for that account fails until an operator restores the store
    from a backup, or erases the account.
    """

    reason = "LEDGER_CORRUPT"


class ContractViolated(QueenError):
    """An answer breaks the contract of its profile, which is a bug; it is never sent (INTERNAL).

    Raised by `queen.method.contracts`. Do not retry.
    """

    reason = "CONTRACT_VIOLATED"


class DecisionLogInvalid(QueenError):
    """A decision log cannot be read, or belongs to another bundle.

    Raised by `queen.replay`. Do not retry.
    """

    reason = "DECISION_LOG_INVALID"


class BudgetExceeded(QueenError):
    """An attack asks for more queries than it was given. Raised by the red team; do not retry."""

    reason = "BUDGET_EXCEEDED"
