from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.plan.recipe import canonical, key_of

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
def test_the_order_of_keys_does_not_matter(recipe: dict) -> None:
    assert canonical(recipe) == canonical(dict(reversed(recipe.items())))


def test_the_encoding_is_fixed() -> None:
    recipe = {"b": (1, 2.5, None, True), "a": Fraction(24000, 1001), "ü": "é"}
    assert canonical(recipe) == '{"a":"24000/1001","b":[1,2.5,null,true],"ü":"é"}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"x", Decimal(1), {1: 2}])
def test_what_cannot_be_hashed_safely_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="recipe"):
        canonical({"x": value})


def test_a_key_depends_on_kind_recipe_and_needs_in_order() -> None:
    base = key_of("embed", ["{}"], [b"a", b"b"])
    assert base != key_of("finish", ["{}"], [b"a", b"b"])
    assert base != key_of("embed", ["{ }"], [b"a", b"b"])
    assert base != key_of("embed", ["{}", "{}"], [b"a", b"b"])
    assert base != key_of("embed", ["{}"], [b"b", b"a"])
