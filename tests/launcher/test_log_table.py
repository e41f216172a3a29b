"""The table of logs of Figure 7, whole and as a window."""

from __future__ import annotations

import pytest

from launcher.log_table import Row, most_columns, table


def row(name: str, terms: list[int | None], commit: int | None = 0, base: int = 0) -> Row:
    return Row(name, "follower", 3, "", commit, terms, base)


def test_each_entry_stands_below_its_index_and_the_bar_behind_what_is_committed() -> None:
    assert table([row("n1", [1, 1, 2], commit=2), row("n2", [1], commit=1)]) == [
        "server  role       term  commit  log  1  2  3",
        "n1      follower      3       2       1  1| 2",
        "n2      follower      3       1       1|",
    ]


def test_there_is_a_column_for_votes_where_a_row_has_one() -> None:
    voted = Row("n1", "follower", 3, "n2", 0, [1])
    assert "vote" in table([voted, row("n2", [1])])[0]
    assert "vote" not in table([row("n2", [1])])[0]


def test_entries_that_are_only_in_a_snapshot_are_dots() -> None:
    lines = table([row("n1", [4], commit=3, base=2)], first=2)
    assert lines[1].endswith("3       .  4|")


def test_a_term_that_is_not_known_is_a_question_mark() -> None:
    assert table([row("n1", [1, None, 2])])[1].endswith("1  ?  2")


def test_a_commit_index_that_is_not_known_is_a_dash_and_no_bar() -> None:
    (_, line) = table([row("n1", [1, 1], commit=None)])
    assert line.split() == ["n1", "follower", "3", "-", "1", "1"]


def test_a_window_begins_with_the_bar_when_all_before_it_is_committed() -> None:
    assert table([row("n1", [1, 2, 2, 2], commit=2)], first=3) == [
        "server  role       term  commit  log  3  4",
        "n1      follower      3       2     | 2  2",
    ]


def test_a_window_ends_where_it_is_told_to() -> None:
    assert table([row("n1", [1, 2, 2, 2])], first=2, last=3)[1].split()[4:] == ["2", "2"]


def test_indexes_at_which_logs_differ_are_marked_below() -> None:
    lines = table([row("n1", [1, 2]), row("n2", [1, 3])], differ=[2])
    assert lines[-1].startswith("differ")
    assert lines[-1].index("^") == lines[0].rindex("2")


@pytest.mark.parametrize("last", [9, 99, 1234])
@pytest.mark.parametrize("width", [60, 80, 133])
def test_as_many_indexes_as_fit_are_exactly_as_wide(last: int, width: int) -> None:
    logs = [row("n1", [3] * last, commit=last), row("n2", [3] * (last - 1))]
    count = min(most_columns(logs, last, width), last)
    fits = table(logs, first=last - count + 1, last=last)
    more = table(logs, first=max(1, last - count), last=last)
    assert max(map(len, fits)) <= width
    assert count == last or max(map(len, more)) > width
