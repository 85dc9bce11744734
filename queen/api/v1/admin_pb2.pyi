from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Crossing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CROSSING_UNSPECIFIED: _ClassVar[Crossing]
    CROSSING_THRESHOLD: _ClassVar[Crossing]
    CROSSING_OFF_DISTRIBUTION: _ClassVar[Crossing]
    CROSSING_BREADTH: _ClassVar[Crossing]
    CROSSING_CLASS_CAP: _ClassVar[Crossing]
CROSSING_UNSPECIFIED: Crossing
CROSSING_THRESHOLD: Crossing
CROSSING_OFF_DISTRIBUTION: Crossing
CROSSING_BREADTH: Crossing
CROSSING_CLASS_CAP: Crossing

class ListAccountsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "budgets")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    budgets: _containers.RepeatedCompositeFieldContainer[AccountBudget]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., budgets: _Optional[_Iterable[_Union[AccountBudget, _Mapping]]] = ...) -> None: ...

class AccountBudget(_message.Message):
    __slots__ = ("account_id", "budget", "breadth", "class_cap")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    BREADTH_FIELD_NUMBER: _ClassVar[int]
    CLASS_CAP_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    budget: int
    breadth: int
    class_cap: int
    def __init__(self, account_id: _Optional[str] = ..., budget: _Optional[int] = ..., breadth: _Optional[int] = ..., class_cap: _Optional[int] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[AccountSummary]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[AccountSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AccountSummary(_message.Message):
    __slots__ = ("account_id", "records", "crossed_classes", "budget_spent", "off_distribution", "budget", "over_budget", "needed_classes", "class_cap")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    CROSSED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_SPENT_FIELD_NUMBER: _ClassVar[int]
    OFF_DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    OVER_BUDGET_FIELD_NUMBER: _ClassVar[int]
    NEEDED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_CAP_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    records: int
    crossed_classes: _containers.RepeatedScalarFieldContainer[int]
    budget_spent: float
    off_distribution: float
    budget: int
    over_budget: bool
    needed_classes: int
    class_cap: int
    def __init__(self, account_id: _Optional[str] = ..., records: _Optional[int] = ..., crossed_classes: _Optional[_Iterable[int]] = ..., budget_spent: _Optional[float] = ..., off_distribution: _Optional[float] = ..., budget: _Optional[int] = ..., over_budget: _Optional[bool] = ..., needed_classes: _Optional[int] = ..., class_cap: _Optional[int] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("account_id", "budget", "breadth", "class_cap")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    BREADTH_FIELD_NUMBER: _ClassVar[int]
    CLASS_CAP_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    budget: int
    breadth: int
    class_cap: int
    def __init__(self, account_id: _Optional[str] = ..., budget: _Optional[int] = ..., breadth: _Optional[int] = ..., class_cap: _Optional[int] = ...) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("summary", "classes", "bundle_digest")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    summary: AccountSummary
    classes: _containers.RepeatedCompositeFieldContainer[ClassLedger]
    bundle_digest: str
    def __init__(self, summary: _Optional[_Union[AccountSummary, _Mapping]] = ..., classes: _Optional[_Iterable[_Union[ClassLedger, _Mapping]]] = ..., bundle_digest: _Optional[str] = ...) -> None: ...

class ClassLedger(_message.Message):
    __slots__ = ("label", "cqs", "threshold", "embeddings")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CQS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    label: int
    cqs: float
    threshold: float
    embeddings: bytes
    def __init__(self, label: _Optional[int] = ..., cqs: _Optional[float] = ..., threshold: _Optional[float] = ..., embeddings: _Optional[bytes] = ...) -> None: ...

class ResetAccountRequest(_message.Message):
    __slots__ = ("account_id", "reason")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    reason: str
    def __init__(self, account_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResetAccountResponse(_message.Message):
    __slots__ = ("records_before",)
    RECORDS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    records_before: int
    def __init__(self, records_before: _Optional[int] = ...) -> None: ...

class DeleteAccountRequest(_message.Message):
    __slots__ = ("account_id", "reason")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    reason: str
    def __init__(self, account_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DeleteAccountResponse(_message.Message):
    __slots__ = ("records_before", "geometries")
    RECORDS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    GEOMETRIES_FIELD_NUMBER: _ClassVar[int]
    records_before: int
    geometries: int
    def __init__(self, records_before: _Optional[int] = ..., geometries: _Optional[int] = ...) -> None: ...

class AuditExemptionRequest(_message.Message):
    __slots__ = ("account_id", "reason", "exempt")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXEMPT_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    reason: str
    exempt: bool
    def __init__(self, account_id: _Optional[str] = ..., reason: _Optional[str] = ..., exempt: _Optional[bool] = ...) -> None: ...

class AuditExemptionResponse(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: int
    def __init__(self, records: _Optional[int] = ...) -> None: ...

class AccountRecords(_message.Message):
    __slots__ = ("account_id", "geometry_digest", "classes", "marks")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    GEOMETRY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MARKS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    geometry_digest: str
    classes: _containers.RepeatedCompositeFieldContainer[ClassRecords]
    marks: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, account_id: _Optional[str] = ..., geometry_digest: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[ClassRecords, _Mapping]]] = ..., marks: _Optional[_Iterable[float]] = ...) -> None: ...

class ClassRecords(_message.Message):
    __slots__ = ("label", "embeddings")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    label: int
    embeddings: bytes
    def __init__(self, label: _Optional[int] = ..., embeddings: _Optional[bytes] = ...) -> None: ...

class ExportAccountsRequest(_message.Message):
    __slots__ = ("account_ids",)
    ACCOUNT_IDS_FIELD_NUMBER: _ClassVar[int]
    account_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, account_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportAccountsResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: AccountRecords
    def __init__(self, account: _Optional[_Union[AccountRecords, _Mapping]] = ...) -> None: ...

class ImportAccountsRequest(_message.Message):
    __slots__ = ("reason", "account")
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    account: AccountRecords
    def __init__(self, reason: _Optional[str] = ..., account: _Optional[_Union[AccountRecords, _Mapping]] = ...) -> None: ...

class ImportAccountsResponse(_message.Message):
    __slots__ = ("accounts", "records_added", "records_covered")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_ADDED_FIELD_NUMBER: _ClassVar[int]
    RECORDS_COVERED_FIELD_NUMBER: _ClassVar[int]
    accounts: int
    records_added: int
    records_covered: int
    def __init__(self, accounts: _Optional[int] = ..., records_added: _Optional[int] = ..., records_covered: _Optional[int] = ...) -> None: ...

class WatchCrossingsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchCrossingsResponse(_message.Message):
    __slots__ = ("time_unix_nanos", "account_id", "crossing", "label", "level", "limit", "missed")
    TIME_UNIX_NANOS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CROSSING_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    time_unix_nanos: int
    account_id: str
    crossing: Crossing
    label: int
    level: float
    limit: float
    missed: int
    def __init__(self, time_unix_nanos: _Optional[int] = ..., account_id: _Optional[str] = ..., crossing: _Optional[_Union[Crossing, str]] = ..., label: _Optional[int] = ..., level: _Optional[float] = ..., limit: _Optional[float] = ..., missed: _Optional[int] = ...) -> None: ...

class ListLinksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLinksResponse(_message.Message):
    __slots__ = ("survey", "links", "survey_seconds")
    SURVEY_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    SURVEY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    survey: Survey
    links: _containers.RepeatedCompositeFieldContainer[Link]
    survey_seconds: float
    def __init__(self, survey: _Optional[_Union[Survey, _Mapping]] = ..., links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ..., survey_seconds: _Optional[float] = ...) -> None: ...

class Survey(_message.Message):
    __slots__ = ("time_unix_nanos", "seconds", "accounts", "records", "accounts_over_budget", "budget_spent", "region_covered", "classes_cut", "accounts_not_compared", "records_not_compared", "pairs_not_compared", "links_found")
    TIME_UNIX_NANOS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_OVER_BUDGET_FIELD_NUMBER: _ClassVar[int]
    BUDGET_SPENT_FIELD_NUMBER: _ClassVar[int]
    REGION_COVERED_FIELD_NUMBER: _ClassVar[int]
    CLASSES_CUT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_NOT_COMPARED_FIELD_NUMBER: _ClassVar[int]
    RECORDS_NOT_COMPARED_FIELD_NUMBER: _ClassVar[int]
    PAIRS_NOT_COMPARED_FIELD_NUMBER: _ClassVar[int]
    LINKS_FOUND_FIELD_NUMBER: _ClassVar[int]
    time_unix_nanos: int
    seconds: float
    accounts: int
    records: int
    accounts_over_budget: int
    budget_spent: float
    region_covered: float
    classes_cut: int
    accounts_not_compared: int
    records_not_compared: int
    pairs_not_compared: int
    links_found: int
    def __init__(self, time_unix_nanos: _Optional[int] = ..., seconds: _Optional[float] = ..., accounts: _Optional[int] = ..., records: _Optional[int] = ..., accounts_over_budget: _Optional[int] = ..., budget_spent: _Optional[float] = ..., region_covered: _Optional[float] = ..., classes_cut: _Optional[int] = ..., accounts_not_compared: _Optional[int] = ..., records_not_compared: _Optional[int] = ..., pairs_not_compared: _Optional[int] = ..., links_found: _Optional[int] = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("account_id", "other_account_id", "score", "shared_records", "expected_records", "records", "other_records")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SHARED_RECORDS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_RECORDS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    OTHER_RECORDS_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    other_account_id: str
    score: float
    shared_records: int
    expected_records: float
    records: int
    other_records: int
    def __init__(self, account_id: _Optional[str] = ..., other_account_id: _Optional[str] = ..., score: _Optional[float] = ..., shared_records: _Optional[int] = ..., expected_records: _Optional[float] = ..., records: _Optional[int] = ..., other_records: _Optional[int] = ...) -> None: ...

class ListAuditEntriesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAuditEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("time", "actor", "reason", "action", "account_hash", "records_before")
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_HASH_FIELD_NUMBER: _ClassVar[int]
    RECORDS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    time: str
    actor: str
    reason: str
    action: str
    account_hash: str
    records_before: int
    def __init__(self, time: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., action: _Optional[str] = ..., account_hash: _Optional[str] = ..., records_before: _Optional[int] = ...) -> None: ...
