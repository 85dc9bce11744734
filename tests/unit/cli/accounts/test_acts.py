from queen.api.v1 import admin_pb2 as pb
from queen.cli.accounts.acts import event_line


def test_a_crossing_is_a_line_that_no_account_id_can_break():
    """Time, account, what was crossed, how far; an id's control characters are spelled out."""
    event = pb.WatchCrossingsResponse(
        time_unix_nanos=10**18,
        account_id="group a\x1b[2Jb",
        crossing=pb.CROSSING_THRESHOLD,
        label=3,
        level=1.25,
        limit=1.0,
    )
    line = event_line(event)
    assert line == "2001-09-09T01:46:40+00:00 'group a\\x1b[2Jb' class 3: cqs 1.25 over T 1"
    event.crossing = pb.CROSSING_OFF_DISTRIBUTION
    assert event_line(event).endswith("is off-distribution: 1.25 of 1")


def test_missed_events_are_said_to_be_missed():
    """A number alone, since nobody knows what they were."""
    assert event_line(pb.WatchCrossingsResponse(missed=7)).startswith("7 events were missed")
