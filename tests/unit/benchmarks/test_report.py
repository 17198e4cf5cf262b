from pathlib import Path

import pytest

from benchmarks import report, results
from benchmarks.cases import CASES, Case, find
from benchmarks.contenders import ALL
from benchmarks.results import Crossing, Entry, Result, Session

MARKED = f"# Before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n"


def a_session(session: str, *contenders: str, case: str = "upsert-1") -> list[Entry]:
    measured = find(case)
    assert measured is not None
    return [
        Session(session=session, facts={"processor": "abacus"}),
        *(
            Result(
                session=session,
                case=case,
                rows=measured.rows,
                source_rows=1,
                contender=name,
                turn=0,
                seconds=2.0,
                cpu=1.0,
                memory=5_000_000,
                wal=7,
                dead=1234,
            )
            for name in contenders
        ),
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for path in (report.PAGE, report.README):
        (tmp_path / path).write_text(MARKED)
    return tmp_path


def test_what_stands_around_the_markers_stays(root: Path):
    list(report.write(a_session("s", "psql", "syncengine"), root, readme=False))

    text = (root / report.PAGE).read_text()
    assert (text[:8], text[-6:]) == ("# Before", "after\n")
    assert "old" not in text
    assert "| processor | abacus |" in text
    assert (root / report.README).read_text() == MARKED


def test_a_chart_is_written_for_each_picture_on_the_page(root: Path):
    list(report.write(a_session("s", "psql", "syncengine", "sling"), root, readme=True))

    named = {path.name for path in (root / report.CHARTS).iterdir()}
    assert named == {"upsert-1.svg", "upsert-1-memory.svg", "upsert-1-wal.svg"}
    assert all(f"benchmarks/{name}" in (root / report.PAGE).read_text() for name in named)


def test_the_short_table_tells_the_fastest_other_tool(root: Path):
    list(report.write(a_session("s", "psql", "syncengine", "sling"), root, readme=True))

    assert (
        "| Upsert, 1 % changed | 2.00 s | 2.00 s | 1.00 | 2.00 s (sling" in (root / report.README).read_text()
    )


def test_a_file_without_markers_is_not_written_to(root: Path):
    (root / report.PAGE).write_text("no markers")

    with pytest.raises(ValueError, match="has no lines"):
        list(report.write(a_session("s", "psql"), root, readme=False))


def test_a_session_without_the_baseline_does_not_take_the_place_of_one_with_it():
    case = find("upsert-1")
    assert case is not None
    entries = [*a_session("first", "psql", "syncengine"), *a_session("second", "sling")]

    assert {result.session for result in results.latest(entries, case)} == {"first"}


def test_lines_are_read_as_they_were_written(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    entries = [
        *a_session("s", "psql"),
        Crossing(session="s", question="q", size=5, seconds={"a": 1.0, "b": 0.5}),
    ]
    for entry in entries:
        results.append(path, entry)

    assert list(results.read(path)) == entries


def test_the_faster_way_stands_out(root: Path):
    crossing = Crossing(session="s", question="join", size=5, seconds={"a": 1.0, "b": 0.5})

    list(report.write([*a_session("s", "psql"), crossing], root, readme=False))

    assert "| 5 | 1,000 | **500** |" in (root / report.PAGE).read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_names_contenders_that_there_are(case: Case):
    assert set(case.contenders) <= set(ALL)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_baseline_of_each_case_takes_part(case: Case):
    assert case.baseline in case.contenders
