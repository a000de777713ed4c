"""The fewest changes between two lists."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from connectors.edits import plan_edits

SHORT = st.lists(st.sampled_from("abcde"), max_size=7)


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


@given(st.permutations("abcdef"), st.permutations("abcdef"))
def test_as_many_entries_stay_where_they_are_as_can(present: list[str], wanted: list[str]) -> None:
    places = [present.index(entry) for entry in wanted]
    longest = max(
        size
        for size in range(len(places) + 1)
        for chosen in combinations(places, size)
        if list(chosen) == sorted(chosen)
    )
    assert len(plan_edits(present, wanted).kept) == longest
