from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Failure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_UNSPECIFIED: _ClassVar[Failure]
    FAILURE_STORE_AWAY: _ClassVar[Failure]
    FAILURE_LEDGER_FULL: _ClassVar[Failure]
    FAILURE_LEDGER_DAMAGED: _ClassVar[Failure]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_PRESERVE: _ClassVar[Verdict]
    VERDICT_RECORD: _ClassVar[Verdict]
    VERDICT_REVERSE: _ClassVar[Verdict]

class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_UNSPECIFIED: _ClassVar[Scope]
    SCOPE_QUERY: _ClassVar[Scope]
    SCOPE_CLASS: _ClassVar[Scope]
    SCOPE_ACCOUNT: _ClassVar[Scope]
    SCOPE_REPEATED: _ClassVar[Scope]
FAILURE_UNSPECIFIED: Failure
FAILURE_STORE_AWAY: Failure
FAILURE_LEDGER_FULL: Failure
FAILURE_LEDGER_DAMAGED: Failure
VERDICT_UNSPECIFIED: Verdict
VERDICT_PRESERVE: Verdict
VERDICT_RECORD: Verdict
VERDICT_REVERSE: Verdict
SCOPE_UNSPECIFIED: Scope
SCOPE_QUERY: Scope
SCOPE_CLASS: Scope
SCOPE_ACCOUNT: Scope
SCOPE_REPEATED: Scope

class AccountPolicy(_message.Message):
    __slots__ = ("account_id", "budget", "scope", "group", "group_budget", "exempt", "breadth", "class_cap", "group_breadth", "group_class_cap", "observed", "keyed")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    GROUP_BUDGET_FIELD_NUMBER: _ClassVar[int]
    EXEMPT_FIELD_NUMBER: _ClassVar[int]
    BREADTH_FIELD_NUMBER: _ClassVar[int]
    CLASS_CAP_FIELD_NUMBER: _ClassVar[int]
    GROUP_BREADTH_FIELD_NUMBER: _ClassVar[int]
    GROUP_CLASS_CAP_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    KEYED_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    budget: int
    scope: Scope
    group: str
    group_budget: int
    exempt: bool
    breadth: int
    class_cap: int
    group_breadth: int
    group_class_cap: int
    observed: bool
    keyed: bool
    def __init__(self, account_id: _Optional[str] = ..., budget: _Optional[int] = ..., scope: _Optional[_Union[Scope, str]] = ..., group: _Optional[str] = ..., group_budget: _Optional[int] = ..., exempt: _Optional[bool] = ..., breadth: _Optional[int] = ..., class_cap: _Optional[int] = ..., group_breadth: _Optional[int] = ..., group_class_cap: _Optional[int] = ..., observed: _Optional[bool] = ..., keyed: _Optional[bool] = ...) -> None: ...

class AssessRequest(_message.Message):
    __slots__ = ("bundle_digest", "accounts", "account_index", "labels", "embeddings", "with_facts", "secrets")
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_INDEX_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    WITH_FACTS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    bundle_digest: str
    accounts: _containers.RepeatedCompositeFieldContainer[AccountPolicy]
    account_index: bytes
    labels: bytes
    embeddings: bytes
    with_facts: bool
    secrets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, bundle_digest: _Optional[str] = ..., accounts: _Optional[_Iterable[_Union[AccountPolicy, _Mapping]]] = ..., account_index: _Optional[bytes] = ..., labels: _Optional[bytes] = ..., embeddings: _Optional[bytes] = ..., with_facts: _Optional[bool] = ..., secrets: _Optional[_Iterable[int]] = ...) -> None: ...

class AssessResponse(_message.Message):
    __slots__ = ("verdicts", "causes", "sqs", "facts", "secrets", "failures")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    SQS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    verdicts: bytes
    causes: bytes
    sqs: bytes
    facts: Facts
    secrets: bytes
    failures: bytes
    def __init__(self, verdicts: _Optional[bytes] = ..., causes: _Optional[bytes] = ..., sqs: _Optional[bytes] = ..., facts: _Optional[_Union[Facts, _Mapping]] = ..., secrets: _Optional[bytes] = ..., failures: _Optional[bytes] = ...) -> None: ...

class Facts(_message.Message):
    __slots__ = ("distances", "cqs_before", "cqs_after", "group_cqs_before", "group_cqs_after", "generations", "group_generations", "budgets", "group_budgets", "bits", "scopes", "breadths", "group_breadths", "class_caps", "group_class_caps", "observed", "observed_cqs_before", "observed_cqs_after", "observed_generations", "observed_group_cqs_before", "observed_group_cqs_after", "observed_group_generations", "anywhere")
    DISTANCES_FIELD_NUMBER: _ClassVar[int]
    CQS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CQS_AFTER_FIELD_NUMBER: _ClassVar[int]
    GROUP_CQS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    GROUP_CQS_AFTER_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    GROUP_GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BUDGETS_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    BREADTHS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BREADTHS_FIELD_NUMBER: _ClassVar[int]
    CLASS_CAPS_FIELD_NUMBER: _ClassVar[int]
    GROUP_CLASS_CAPS_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_CQS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_CQS_AFTER_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_GROUP_CQS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_GROUP_CQS_AFTER_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_GROUP_GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    ANYWHERE_FIELD_NUMBER: _ClassVar[int]
    distances: bytes
    cqs_before: bytes
    cqs_after: bytes
    group_cqs_before: bytes
    group_cqs_after: bytes
    generations: bytes
    group_generations: bytes
    budgets: bytes
    group_budgets: bytes
    bits: bytes
    scopes: bytes
    breadths: bytes
    group_breadths: bytes
    class_caps: bytes
    group_class_caps: bytes
    observed: bytes
    observed_cqs_before: bytes
    observed_cqs_after: bytes
    observed_generations: bytes
    observed_group_cqs_before: bytes
    observed_group_cqs_after: bytes
    observed_group_generations: bytes
    anywhere: bytes
    def __init__(self, distances: _Optional[bytes] = ..., cqs_before: _Optional[bytes] = ..., cqs_after: _Optional[bytes] = ..., group_cqs_before: _Optional[bytes] = ..., group_cqs_after: _Optional[bytes] = ..., generations: _Optional[bytes] = ..., group_generations: _Optional[bytes] = ..., budgets: _Optional[bytes] = ..., group_budgets: _Optional[bytes] = ..., bits: _Optional[bytes] = ..., scopes: _Optional[bytes] = ..., breadths: _Optional[bytes] = ..., group_breadths: _Optional[bytes] = ..., class_caps: _Optional[bytes] = ..., group_class_caps: _Optional[bytes] = ..., observed: _Optional[bytes] = ..., observed_cqs_before: _Optional[bytes] = ..., observed_cqs_after: _Optional[bytes] = ..., observed_generations: _Optional[bytes] = ..., observed_group_cqs_before: _Optional[bytes] = ..., observed_group_cqs_after: _Optional[bytes] = ..., observed_group_generations: _Optional[bytes] = ..., anywhere: _Optional[bytes] = ...) -> None: ...
