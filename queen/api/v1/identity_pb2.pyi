from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class IdentifyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IdentifyResponse(_message.Message):
    __slots__ = ("bundle_digest", "secrets")
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    bundle_digest: str
    secrets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, bundle_digest: _Optional[str] = ..., secrets: _Optional[_Iterable[int]] = ...) -> None: ...
