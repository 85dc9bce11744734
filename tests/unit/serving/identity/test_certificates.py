"""Names of client certificates."""

from __future__ import annotations

from queen.serving.identity.certificates import NO_CONTEXT, alternative_names, auth_context_of


class Context:
    """The part of a gRPC context that is read."""

    def auth_context(self) -> dict[str, list[bytes]]:
        """A certificate with a name that is no text."""
        return {
            "x509_common_name": [b"common"],
            "x509_subject_alternative_name": [b"a.test", b"\xff", "ä.test".encode()],
        }


def test_the_alternative_names_that_are_text_are_read() -> None:
    """The common name is none of them, and bytes that are no text match no entry."""
    assert alternative_names(auth_context_of(Context())) == ["a.test", "ä.test"]


def test_a_call_without_a_certificate_has_no_names() -> None:
    """Over a plain connection, or in a process without a transport."""
    assert alternative_names(auth_context_of(object())) == []
    assert alternative_names({"transport_security_type": [b"insecure"]}) == []
    assert NO_CONTEXT == {}
