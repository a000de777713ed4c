"""The fewest changes between two lists."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.edits import Edits, plan_edits

SHORT = st.lists(st.sampled_from("abcde"), max_size=7)
SETS = st.lists(st.sampled_from("abcdefg"), unique=True, max_size=7)
LONG = st.lists(st.integers(0, 400), unique=True, max_size=200).map(lambda ns: [*map(str, ns)])


def applied(edits: Edits, present: list[str], wanted: list[str]) -> list[str]:
    """Do what the edits say to the present list, entry by entry, as servers are told to."""
    moved = dict(edits.moved)
    stays = [n for n in range(len(present)) if n not in edits.removed and n not in moved]
    result: list[str | None] = [None] * len(wanted)
    free = sorted({*range(len(wanted))} - {*edits.added} - {*moved.values()})
    for now, place in zip(stays, free, strict=True):  # untouched: their order is all they have
        result[place] = present[now]
    for now, place in edits.moved:
        result[place] = present[now]
    for place in edits.added:
        result[place] = wanted[place]
    return [entry for entry in result if entry is not None]


def longest_common(one: list[str], other: list[str]) -> int:
    """Return by brute force how many entries can stay where they are."""
    for size in range(min(len(one), len(other)), 0, -1):
        runs = set(combinations(one, size))
        if any(run in runs for run in combinations(other, size)):
            return size
    return 0


@given(SHORT, SHORT)
def test_doing_what_the_edits_say_gives_the_wanted_list(
    present: list[str], wanted: list[str]
) -> None:
    assert applied(plan_edits(present, wanted), present, wanted) == wanted


@given(LONG, LONG)
def test_doing_what_the_edits_say_gives_long_lists_too(
    present: list[str], wanted: list[str]
) -> None:
    assert applied(plan_edits(present, wanted), present, wanted) == wanted


@given(SHORT, SHORT)
def test_every_entry_is_removed_kept_or_moved_and_every_wanted_one_is_there(
    present: list[str], wanted: list[str]
) -> None:
    edits = plan_edits(present, wanted)
    pairs = [*edits.kept, *edits.moved]
    assert sorted([*edits.removed, *(now for now, _ in pairs)]) == list(range(len(present)))
    assert sorted([*edits.added, *(place for _, place in pairs)]) == list(range(len(wanted)))
    assert all(present[now] == wanted[place] for now, place in pairs)
    assert [now for now, _ in edits.kept] == sorted(now for now, _ in edits.kept)
    assert [place for _, place in edits.kept] == sorted(place for _, place in edits.kept)
    assert len(edits) == len(edits.removed) + len(edits.moved) + len(edits.added)


@given(SETS, SETS)
def test_as_many_entries_stay_where_they_are_as_can(present: list[str], wanted: list[str]) -> None:
    assert len(plan_edits(present, wanted).kept) == longest_common(present, wanted)


@given(SHORT, SHORT)
def test_of_entries_that_are_there_twice_as_many_stay_as_can(
    present: list[str], wanted: list[str]
) -> None:
    assert len(plan_edits(present, wanted).kept) == longest_common(present, wanted)


@given(SHORT)
def test_a_list_that_is_as_wanted_needs_no_edit(entries: list[str]) -> None:
    assert len(plan_edits(entries, entries)) == 0


@pytest.mark.parametrize(
    ("present", "wanted", "count"),
    [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("abc", "cab", 1), ("abcd", "abxd", 2),
     ("aab", "ab", 1), ("ab", "aab", 1), ("abcdef", "fabcde", 1)],
)  # fmt: skip
def test_the_fewest_edits_are_these(present: str, wanted: str, count: int) -> None:
    assert len(plan_edits(list(present), list(wanted))) == count


def test_ten_thousand_entries_reversed_are_planned_at_once() -> None:
    entries = [str(n) for n in range(10_000)]
    edits = plan_edits(entries, entries[::-1])
    assert (len(edits.kept), len(edits.moved)) == (1, 9_999)
