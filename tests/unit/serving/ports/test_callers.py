"""Callers by the names of their certificates, over real TLS."""

from __future__ import annotations

from queen.serving.ports.callers import AdmittedCallers, read_names
from tests.certificates import LOOPBACK, Authority
from tests.unit.serving.ports.admission import admitting, outcome

NAMES = read_names("queen-inference, spiffe://queen/door")
REFUSED = ("PERMISSION_DENIED", "CALLER_NOT_ADMITTED")


async def test_only_the_named_certificates_may_call(authority: Authority) -> None:
    """The authority signs more than them: another name of its own is refused, by its reason."""
    mine = authority.issue("server", *LOOPBACK)
    host = authority.issue("host", "DNS:queen-inference")
    uri = authority.issue("uri", "DNS:elsewhere", "URI:spiffe://queen/door")
    other = authority.issue("other", "DNS:queen-inference.example")
    # The common name of the subject is no name: anybody may ask for one.
    subject = authority.issue("queen-inference", "DNS:unknown")
    async with admitting(AdmittedCallers(NAMES).admit, mine) as target:
        known = [await outcome(target, files) for files in (host, uri)]
        assert [code for code, _ in known] == ["OK", "OK"]
        assert known[0] != known[1]
        assert [await outcome(target, files) for files in (other, subject)] == [REFUSED, REFUSED]


async def test_a_caller_without_a_certificate_has_no_name() -> None:
    """On a plaintext port nobody is admitted."""
    async with admitting(AdmittedCallers(NAMES).admit) as target:
        assert await outcome(target) == REFUSED


def test_names_are_listed_between_commas() -> None:
    """White space and empty entries are no names."""
    assert read_names(" a , ,b,") == {"a", "b"}
    assert read_names(" ,") == frozenset()
