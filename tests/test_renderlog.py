from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from io import BytesIO

import pyarrow as pa
import pytest
from conftest import make_settings
from helpers import FakeModel, FakePool, TextMedia, make_driver, make_worker, shot, shots
from pyarrow import parquet

from farm.errors import FarmError
from farm.plan.plan import make_plan
from farm.renderlog import encode_rows, render_rows
from farm.run import Outcome
from farm.store.memory import MemoryStore

SHOTS = shots(
    shot("1", 100, seed=9, scene="kitchen"),
    shot("2", 60, take=2),
    shot("3", 60, seed=9, take=3, continuity="cut"),
    shot("4", 20),
)


class Jumpy(TextMedia):
    """Sees a jump before frame 29 of every shot that has one."""

    def encode_shot(self, recipe, frames, target):
        facts = super().encode_shot(recipe, frames, target)
        facts["differences"] = [5.0 if index == 28 else 2.0 for index in range(recipe["frames"] - 1)]
        return facts


def drive(store: MemoryStore, model: FakeModel | None = None) -> Outcome:
    """Render the shots, and say what came of it, whether it went well or not."""
    worker = make_worker(store, model)
    worker.media = Jumpy()
    driver = make_driver(make_plan("film", SHOTS, make_settings()), store)
    with contextlib.suppress(FarmError):
        driver.render(lambda: FakePool(worker))
    return driver.outcome()


def second_fails(recipe: dict) -> Exception | None:
    """The second segment of shot 1 cannot be made."""
    return RuntimeError("no") if recipe["shot"] == "1" and recipe["span"][0] > 0 else None


def test_a_row_says_what_its_segment_was_made_of(store: MemoryStore) -> None:
    outcome = drive(store)
    rows = render_rows(outcome)
    tasks = {task.id: task for task in outcome.plan.tasks}
    segments = [(item, segment) for item in outcome.plan.shots for segment in item.segments]
    assert [row["segment"] for row in rows] == [segment.id for _, segment in segments]
    for row, (item, segment) in zip(rows, segments, strict=True):
        task, commit = tasks[segment.task], outcome.commits[segment.task]
        recipe = json.loads(task.recipe)
        assert (row["shot"], row["scene"], row["seed"]) == (item.shot.name, recipe["scene"], recipe["seed"])
        assert (row["key"], row["continuity"]) == (task.key, item.continuity)
        assert (row["state"], row["made"], row["failed_attempts"]) == ("done", True, 0)
        assert (row["worker"], row["seconds"]) == (commit.worker, commit.seconds)
        assert row["started"].timestamp() == pytest.approx(commit.started, abs=1e-6)
    # The shots lie one behind another, and their segments too: all of the film, and no frame twice.
    assert rows[0]["start"] == 0
    assert rows[-1]["stop"] == outcome.plan.frames
    assert all(before["stop"] == after["start"] for before, after in zip(rows, rows[1:], strict=False))


def test_a_seam_is_said_of_the_segment_behind_it(store: MemoryStore) -> None:
    outcome = drive(store)
    rows = {row["segment"]: row for row in render_rows(outcome)}
    starts = [segment.frames.start for segment in outcome.plan.shots[0].segments]
    assert starts[1] == 29, "where the jump is"
    found = [(rows[f"1/{n}"]["seam_difference"], rows[f"1/{n}"]["seam_ratio"]) for n in range(len(starts))]
    assert found == [(None, None), (5.0, 2.5)] + [(2.0, 1.0)] * (len(starts) - 2)
    assert rows["4/0"]["seam_ratio"] is None


def test_what_is_not_made_has_a_row_all_the_same(store: MemoryStore) -> None:
    model = FakeModel()
    model.fail = second_fails
    rows = render_rows(drive(store, model))
    first = [row for row in rows if row["shot"] == "1"]
    assert [row["state"] for row in first] == ["done", "failed"] + ["not made"] * (len(first) - 2)
    assert [row["failed_attempts"] for row in first] == [0, 3] + [0] * (len(first) - 2)
    assert [row["made"] for row in first] == [True] + [False] * (len(first) - 1)
    for row in first[1:]:
        for name in ("generation", "worker", "started", "seconds", "seam_ratio", "seam_difference"):
            assert row[name] is None
        assert row["key"], "what it would be is known"
    assert {row["state"] for row in rows if row["shot"] == "4"} == {"done"}


def test_what_an_earlier_run_made_is_told_from_what_this_one_did(store: MemoryStore) -> None:
    model = FakeModel()
    model.fail = second_fails
    before = {row["segment"]: row for row in render_rows(drive(store, model))}
    after = {row["segment"]: row for row in render_rows(drive(store))}
    made = {segment for segment, row in after.items() if row["made"]}
    assert made == {segment for segment, row in before.items() if row["state"] != "done"}
    for segment in set(before) - made:
        assert after[segment]["started"] == before[segment]["started"]
        assert after[segment]["state"] == "done"


def test_nothing_was_done_at_all(store: MemoryStore) -> None:
    driver = make_driver(make_plan("film", SHOTS, make_settings()), store)
    rows = render_rows(driver.outcome())
    assert {row["state"] for row in rows} == {"not made"}
    assert parquet.read_table(BytesIO(encode_rows(rows))).num_rows == len(rows)


def test_the_table_is_the_same_for_every_film(store: MemoryStore) -> None:
    rows = render_rows(drive(store))
    data = encode_rows(rows)
    assert encode_rows(rows) == data, "the same rows are the same bytes"
    assert parquet.read_table(BytesIO(data)).to_pylist() == rows
    schema = parquet.read_schema(BytesIO(data))
    assert schema.names == list(rows[0])
    assert schema.field("started").type == pa.timestamp("us", tz="UTC")
    assert parquet.read_schema(BytesIO(encode_rows([]))) == schema
    metadata = parquet.read_metadata(BytesIO(data))
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_largest_seed_and_any_text_go_in(store: MemoryStore) -> None:
    row = render_rows(drive(store))[0]
    odd = {
        **row,
        "seed": 2**63 - 1,
        "prompt": "été \u2028 🎬 \x00",
        "started": datetime(9999, 1, 1, tzinfo=UTC),
    }
    assert parquet.read_table(BytesIO(encode_rows([odd]))).to_pylist() == [odd]
