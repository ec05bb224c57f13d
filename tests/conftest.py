"""What all tests share: settings, fakes for the ports, an S3 server, and a guard against a stray Ray."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import hypothesis
import pytest
from helpers import SCRIPT, FakeModel, TextMedia
from s3_moto import serve

from farm import parts
from farm.clock import SystemClock
from farm.executor import InlineExecutor
from farm.plan.spec import Cost, FamilySpec, Output, Sampling, Settings, Weights
from farm.store.memory import MemoryStore
from farm.store.s3_place import Place
from farm.worker import Worker

# A machine that does other things too must not fail a test of what is true.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def no_ray(request: pytest.FixtureRequest) -> None:
    """A test that is not marked `ray` fails if it started one."""
    yield
    if request.node.get_closest_marker("ray") is None and "ray" in sys.modules:
        assert not sys.modules["ray"].is_initialized(), "this test started Ray: mark it `ray`"


@pytest.fixture
def settings() -> Settings:
    return make_settings()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[str, bool]]:
    """An S3 server, (host and port, whether it speaks HTTPS): a real one where one is named, else moto's."""
    if named := os.environ.get("LONGTAKE_TEST_S3_ENDPOINT"):
        scheme, _, host = named.rpartition("://")
        yield host.rstrip("/"), scheme == "https"
        return
    with serve() as endpoint:
        yield endpoint, False


@pytest.fixture
def place(s3_server: tuple[str, bool], monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place of its own in a bucket, with credentials for it in the environment."""
    from minio import Minio

    key = os.environ.get("LONGTAKE_TEST_S3_ACCESS_KEY", "AKIDLONGTAKETESTS")
    secret = os.environ.get("LONGTAKE_TEST_S3_SECRET_KEY", "hush+hush/hush-longtake-tests")
    endpoint, secure = s3_server
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    client = Minio(endpoint, key, secret, secure=secure)
    if not client.bucket_exists("longtake-tests"):
        client.make_bucket("longtake-tests")
    return Place(
        endpoint=endpoint, bucket="longtake-tests", prefix=f"tests/{uuid.uuid4().hex}/", secure=secure
    )


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def media() -> TextMedia:
    return TextMedia()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModel]:
    """`farm` in a folder with a small script; its worker is in this process, its model a stand-in."""
    fake = FakeModel()

    def start(conf, weights, stopped):
        store = parts.build_store(conf)
        worker = Worker(store=store, model=fake, media=TextMedia(), clock=SystemClock())
        return InlineExecutor(worker, stopped)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "start_workers", start)
    monkeypatch.setattr("farm.heartbeat.BEAT_S", 0.01)
    (tmp_path / "small.yaml").write_text(SCRIPT)
    yield fake


def make_settings(**changes: object) -> Settings:
    values = dict(
        window=9,
        overlap=3,
        rate=Fraction(16),
        out=None,
        continuity="auto",
        seed=1,
        steps=4,
        levels=True,
        control=False,
        titles=False,
        weights="sha256:w",
    )
    values.update(changes)
    return Settings(
        family=FamilySpec(
            name="papercut",
            temporal_stride=4,
            spatial_stride=16,
            window=values["window"],
            overlap=values["overlap"],
            text_tokens=48,
            levels_per_frame=values["levels"],
            rate=values["rate"],
        ),
        weights=Weights(source="papercut", identity=values["weights"]),
        sampling=Sampling(
            width=256,
            height=144,
            steps=values["steps"],
            guidance=4.0,
            shift=3.0,
            negative_prompt="",
            context_level=20,
            scene_noise=0.3,
            dtype="float32",
            threads=1,
        ),
        output=Output(
            width=256,
            height=144,
            rate=values["out"] or values["rate"],
            codec="h264",
            crf=18,
            preset="veryfast",
            threads=1,
        ),
        cost=Cost(evaluation_s_per_latent=0.03, decode_s_per_latent=0.3, workers=2),
        seed=values["seed"],
        continuity=values["continuity"],
        control=values["control"],
        titles=values["titles"],
    )
