from benchmarks.figures import of_case, per_further_row, ratio
from benchmarks.results import Result


def a_result(contender: str, turn: int, seconds: float, *, wrong: str | None = None, dead: int = 0) -> Result:
    return Result(
        session="s", case="c", rows=10, source_rows=10, contender=contender, turn=turn, seconds=seconds, cpu=0.1,
        memory=turn, wal=5, dead=dead, wrong=wrong,
    )  # fmt: skip


def test_the_ratio_is_the_median_of_pairs_not_the_pair_of_medians():
    slow_machine = [a_result("psql", 0, 1.0), a_result("psql", 1, 10.0), a_result("psql", 2, 2.0)]
    ours = [a_result("ours", 0, 0.5), a_result("ours", 1, 4.0), a_result("ours", 2, 3.0)]

    assert ratio(ours, slow_machine) == 0.5


def test_a_turn_that_one_of_a_pair_lacks_does_not_count():
    assert ratio([a_result("ours", 0, 1.0), a_result("ours", 1, 9.0)], [a_result("psql", 0, 2.0)]) == 0.5


def test_contenders_stand_in_the_order_of_their_medians():
    results = [a_result("slow", 0, 3.0), a_result("quick", 0, 1.0), a_result("quick", 1, 2.0)]

    assert [(one.contender, one.seconds, one.fastest, one.slowest) for one in of_case(results, "slow")] == [
        ("quick", 1.5, 1.0, 2.0),
        ("slow", 3.0, 3.0, 3.0),
    ]


def test_a_wrong_table_disqualifies_whatever_the_time():
    results = [a_result("cheat", 0, 0.1, wrong="9 rows, 10 expected"), a_result("psql", 0, 1.0)]

    honest, cheat = of_case(results, "psql")

    assert (honest.contender, honest.failure) == ("psql", None)
    assert (cheat.failure, cheat.ratio) == ("9 rows, 10 expected", None)


def test_memory_is_the_most_that_any_run_took():
    (one,) = of_case([a_result("psql", 3, 1.0), a_result("psql", 8, 1.0)], "psql")

    assert one.memory == 8


def test_what_a_further_row_costs_leaves_the_start_out():
    assert per_further_row((100, 1.5), (1100, 3.5)) == 0.002
