from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Profile(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROFILE_UNSPECIFIED: _ClassVar[Profile]
    PROFILE_PAPER: _ClassVar[Profile]
    PROFILE_BALANCED: _ClassVar[Profile]
    PROFILE_STRICT: _ClassVar[Profile]
PROFILE_UNSPECIFIED: Profile
PROFILE_PAPER: Profile
PROFILE_BALANCED: Profile
PROFILE_STRICT: Profile

class ReverseRequest(_message.Message):
    __slots__ = ("bundle_digest", "profiles", "shadow_inputs", "probabilities", "embeddings", "sketches", "balanced_l1", "secrets", "owner")
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    SHADOW_INPUTS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    SKETCHES_FIELD_NUMBER: _ClassVar[int]
    BALANCED_L1_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    bundle_digest: str
    profiles: bytes
    shadow_inputs: bytes
    probabilities: bytes
    embeddings: bytes
    sketches: bytes
    balanced_l1: float
    secrets: bytes
    owner: str
    def __init__(self, bundle_digest: _Optional[str] = ..., profiles: _Optional[bytes] = ..., shadow_inputs: _Optional[bytes] = ..., probabilities: _Optional[bytes] = ..., embeddings: _Optional[bytes] = ..., sketches: _Optional[bytes] = ..., balanced_l1: _Optional[float] = ..., secrets: _Optional[bytes] = ..., owner: _Optional[str] = ...) -> None: ...

class ReverseResponse(_message.Message):
    __slots__ = ("probabilities", "secrets")
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    probabilities: bytes
    secrets: bytes
    def __init__(self, probabilities: _Optional[bytes] = ..., secrets: _Optional[bytes] = ...) -> None: ...
