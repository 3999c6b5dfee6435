"""Identity follows the work; endpoints lose their ids."""  # R2 R12

from __future__ import annotations

import contextvars
import uuid

from hypothesis import given
from hypothesis import strategies as st

import aiprism
from aiprism.sdk.context import Identity, current

words = st.text(st.characters(codec="utf-8", exclude_characters="/?"), max_size=12)
ids = (
    st.integers(min_value=0).map(str)
    | st.uuids().map(str)
    | st.uuids().map(lambda u: u.hex)
    | st.uuids().map(lambda u: str(u).upper())
)


def test_ids_become_placeholders():
    cases = {
        "/documents/42": "/documents/{id}",
        "/documents/42/sections/7": "/documents/{id}/sections/{id}",
        "/documents/0b9ddc44-6c9b-4a3f-8f3a-2d1d0c5b7a10": "/documents/{id}",
        "/documents/0B9DDC44-6C9B-4A3F-8F3A-2D1D0C5B7A10/": "/documents/{id}/",
        "/v1/users/me": "/v1/users/me",
        "/2fa/setup": "/2fa/setup",  # the plan's pattern would make it /{id}fa/setup
        "/": "/",
        "": "",
        "/search?page=2": "/search",
    }
    assert {path: aiprism.normalize_endpoint(path) for path in cases} == cases


@given(st.lists(words | ids))
def test_normalising_twice_changes_nothing(segments):
    once = aiprism.normalize_endpoint("/" + "/".join(segments))
    assert aiprism.normalize_endpoint(once) == once


@given(st.lists(words | ids))
def test_normalising_keeps_the_number_of_segments(segments):
    assert aiprism.normalize_endpoint("/" + "/".join(segments)).count("/") == ("/" + "/".join(segments)).count("/")


@given(st.lists(words), ids, ids, st.lists(words))
def test_two_ids_in_one_place_are_one_endpoint(before, one, other, after):
    paths = {"/" + "/".join([*before, an_id, *after]) for an_id in (one, other)}
    assert len({aiprism.normalize_endpoint(path) for path in paths}) == 1


@given(st.lists(words), ids, st.lists(words))
def test_no_id_is_left(before, an_id, after):
    assert an_id not in aiprism.normalize_endpoint("/" + "/".join([*before, an_id, *after])).split("/") or an_id in {
        *before,
        *after,
    }


def test_blocks_nest_and_restore():
    with aiprism.context(request_id="r", user_id="u"):
        with aiprism.context(user_id="v", organization_id="o"):
            assert current() == Identity(request_id="r", user_id="v", organization_id="o")
        assert current() == Identity(request_id="r", user_id="u")
    assert current() == Identity()


def test_a_block_left_in_another_context_does_no_harm():
    block = aiprism.context(user_id="u")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    assert current() == Identity()


def test_a_uuid_made_here_is_an_id():
    assert aiprism.normalize_endpoint(f"/x/{uuid.uuid4()}") == "/x/{id}"
