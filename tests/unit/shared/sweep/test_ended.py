"""Each look checks a part of many ended sweeps, and in turn finds every one that was extended."""

from pathlib import Path

from shared.ids import new_sweep_id
from shared.sweep.ended import EndedSweeps
from shared.sweep.folder import Extension, SweepFolder, sweep_folder
from shared.times import utc_now
from shared.volume import Volume


def test_each_look_asks_a_part_and_an_extended_one_is_found_in_its_turn(tmp_path: Path, monkeypatch) -> None:
    volume, asked = Volume(tmp_path), []
    ended = {new_sweep_id(): 0 for _ in range(450)}
    newest = max(ended)
    folder = sweep_folder(volume, newest)
    folder.path.mkdir(parents=True)
    folder.extend(1, Extension(extended_at=utc_now(), trials=9, budget=None))
    is_extended = SweepFolder.is_extended
    monkeypatch.setattr(SweepFolder, "is_extended", lambda *given: asked.append(given) or is_extended(*given))
    sweeps = EndedSweeps(volume, ended.items())
    for look in range(1, 4):
        sweeps.look(ended)
        assert len(asked) == 200 * look
    assert {one.id for one, _ in asked} == set(ended)
    assert [sweep for sweep in ended if sweep not in sweeps] == [newest]
    assert sweeps.last_end(newest) == 0, "its first end, until its second one"
    sweeps.look(ended)
    assert newest not in sweeps, "it runs until its end is added"
    sweeps.add(newest, 1)
    sweeps.look([newest])
    assert newest in sweeps, "its second end is no older than its extension"
    sweeps.look([])
    assert newest not in sweeps
    assert sweeps.last_end(newest) is None
