"""The way of a log line: no caller waits, and no failure reaches it."""

from __future__ import annotations

import os
import threading

from queen.serving.logs.sink import LogSink, Stream


class SlowOutput:
    """An output that writes only when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Wait, then keep the line."""
        assert self.let.wait(30)
        self.lines.append(line)


class FullOutput:
    """A disk without room, but for lines that begin with a word."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Refuse the line."""
        if not line.startswith(b"short"):
            raise OSError(28, "No space left on device")
        self.lines.append(line)


def test_lines_are_written_in_order() -> None:
    """Closing writes what waits; letters that UTF-8 lacks are spelled out."""
    output = SlowOutput()
    output.let.set()
    sink = LogSink(output)
    for number in range(100):
        sink.write(f"{number}\n")
    sink.write("\ud800\n")
    sink.close(10.0)
    assert output.lines == [*(f"{number}\n".encode() for number in range(100)), b"\\ud800\n"]
    assert sink.dropped == {"full": 0, "failed": 0}


def test_an_output_that_does_not_move_holds_nobody_up() -> None:
    """Lines beyond the room are dropped and counted, and closing does not wait for ever."""
    output = SlowOutput()
    sink = LogSink(output, most_waiting_bytes=1000)
    for number in range(100):
        sink.write(f"{number:0>99}\n")
    sink.close(0.0)
    assert sink.dropped["full"] == 90
    output.let.set()


def test_a_full_disk_fails_no_caller_and_is_counted() -> None:
    """And a line for which there is room is written again."""
    output = FullOutput()
    sink = LogSink(output)
    for _ in range(5):
        sink.write("long\n")
    sink.write("short\n")
    sink.close(10.0)
    assert (sink.dropped["failed"], output.lines) == (5, [b"short\n"])


def test_a_stream_is_written_whole_though_its_reader_is_slow() -> None:
    """A pipe that never blocks takes a line in parts."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    line = b"x" * 300_000 + b"\n"
    got = bytearray()

    def read() -> None:
        while len(got) < len(line):
            got.extend(os.read(reading, 65_536))

    reader = threading.Thread(target=read)
    reader.start()
    Stream(writing).write(line)
    reader.join(30)
    os.close(reading)
    os.close(writing)
    assert bytes(got) == line


def test_without_a_line_the_output_is_asked_to_look() -> None:
    """With an empty line, again and again: others may write to its file."""

    class Looking:
        def __init__(self) -> None:
            self.looks, self.enough = 0, threading.Event()

        def write(self, line: bytes) -> None:
            assert not line
            self.looks += 1
            if self.looks == 3:
                self.enough.set()

    output = Looking()
    sink = LogSink(output, look_seconds=0.001)
    assert output.enough.wait(30)
    sink.close(10.0)
    assert sink.dropped == {"full": 0, "failed": 0}
