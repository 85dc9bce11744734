from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListAccountsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[AccountSummary]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[AccountSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AccountSummary(_message.Message):
    __slots__ = ("account_id", "records", "crossed_classes", "budget_spent", "off_distribution")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    CROSSED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_SPENT_FIELD_NUMBER: _ClassVar[int]
    OFF_DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    records: int
    crossed_classes: _containers.RepeatedScalarFieldContainer[int]
    budget_spent: float
    off_distribution: float
    def __init__(self, account_id: _Optional[str] = ..., records: _Optional[int] = ..., crossed_classes: _Optional[_Iterable[int]] = ..., budget_spent: _Optional[float] = ..., off_distribution: _Optional[float] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

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
