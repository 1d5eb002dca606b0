"""Lines of a file from the training to the window."""

from __future__ import annotations

import os

import pytest

from lazylabels_monai.interactive.events import KINDS, Event, EventReader, EventWriter


@pytest.mark.parametrize("kind", KINDS)
def test_events_come_as_they_were_written_and_once(tmp_path, kind):
    file = tmp_path / "made" / "events.jsonl"
    reader, writer = EventReader(file), EventWriter(file)
    assert reader.read() == []
    events = [
        Event(kind, 3, 7, 1.5, {"detection": 0.25}, 0.5, 0.75, 4, 9.0, "/a b/model.pt", "Über 1 %", True, -9),
        Event(kind, dice=0.0, loss=0.0, eta=0.0, exit_code=0),
        Event(kind),
    ]
    for event in events:
        writer.write(event)
    assert reader.read() == events
    assert reader.read() == []
    assert EventReader(file).read() == []  # of an earlier training


def test_what_is_no_number_is_not_known(tmp_path):
    reader, writer = EventReader(tmp_path / "e"), EventWriter(tmp_path / "e")
    writer.write(Event("validated", losses={"detection": float("nan")}, dice=float("nan"), loss=float("inf")))
    (event,) = reader.read()
    assert (event.losses, event.dice, event.loss) == ({"detection": None}, None, None)


def test_a_line_that_is_not_whole_waits_and_one_without_meaning_is_passed_over(tmp_path):
    reader = EventReader(tmp_path / "e")
    whole = b'{"kind": "epoch", "epoch": 2, "later": 1}\n'
    for part, expected in (
        (b"nonsense\n[1]\n{}\n" + whole[:9], []),
        (whole[9:], [Event("epoch", 2)]),
        (b'{"kind": "other"}\n', []),
        (b"[" * 100_000 + b"\n" + whole, [Event("epoch", 2)]),
    ):
        with (tmp_path / "e").open("ab") as file:
            file.write(part)
        assert reader.read() == expected


def test_writers_in_several_processes_do_not_mix_their_lines(tmp_path):
    children = []
    for number in range(4):
        if not (child := os.fork()):
            writer = EventWriter(tmp_path / "e")
            for epoch in range(200):
                writer.write(Event("epoch", epoch, sentence=str(number) * 200))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    reader = EventReader(tmp_path / "none")
    reader.file = tmp_path / "e"
    events = reader.read()
    assert len(events) == 800
    assert {len(set(event.sentence)) for event in events} == {1}
