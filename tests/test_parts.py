"""The composition root: which parts a configuration gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm import config, parts
from farm.store.directory import DirectoryStore
from farm.store.patient import PatientStore

BUCKET = ["store=minio", "store.endpoint=localhost:9000"]


def test_a_folder_is_there_or_is_not() -> None:
    conf = config.load([])
    store = parts.build_store(conf)
    assert parts.patient(conf, store, print) is store
    assert isinstance(store, DirectoryStore)
    assert parts.build_spool(conf) is None


def test_a_bucket_is_waited_for_and_its_workers_have_a_spool_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    conf = config.load([*BUCKET, "store.patience_minutes=2", "store.spool_gb=1"])
    patient = parts.patient(conf, parts.build_store(conf), print)
    assert isinstance(patient, PatientStore)
    assert patient.patience_s == 120
    spool, other = parts.build_spool(conf), parts.build_spool(config.load([*BUCKET, "store.prefix=b"]))
    assert spool is not None
    assert other is not None
    assert spool.limit == 10**9
    assert spool.folder.parent == tmp_path / "longtake" / "spool"
    assert spool.folder != other.folder
    said = parts.build_spool(config.load([*BUCKET, f"store.spool={tmp_path}/here"]))
    assert said is not None
    assert said.folder.parent == tmp_path / "here"
