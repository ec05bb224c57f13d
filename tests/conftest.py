"""What all tests share: small settings, fakes for the ports, and a guard against a stray Ray."""

from __future__ import annotations

import sys
from fractions import Fraction

import hypothesis
import pytest
from helpers import FakeModel, TextMedia

from farm.plan.spec import Cost, FamilySpec, Output, Sampling, Settings, Weights
from farm.store.memory import MemoryStore

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


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def media() -> TextMedia:
    return TextMedia()


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
