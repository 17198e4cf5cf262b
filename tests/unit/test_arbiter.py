"""Which index arbitrates, as a table; tests/pg/test_arbiter_on_server.py asks the server the same."""

from __future__ import annotations

import pytest

from syncengine.arbiter import (
    create_index_hint,
    explain_misfit,
    find_arbiter,
    normal,
    pick_inferred,
    quote_if_needed,
)
from syncengine.model.facts import IndexFacts


def unique(*keys: str, name: str | None = None, where: str | None = None, **flags: object) -> IndexFacts:
    """Return a unique index; a key with a sign in it is an expression."""
    expressions = tuple(not key.isidentifier() for key in keys)
    name = name or "_".join(("t", *keys))
    return IndexFacts(name=name, keys=keys, expressions=expressions, predicate=where, **flags)  # type: ignore[arg-type] # any flag


@pytest.mark.parametrize(
    ("keys", "index", "fits"),
    [
        pytest.param(["id"], unique("id"), True, id="exact"),
        pytest.param(["b", "a"], unique("a", "b"), True, id="column-order-is-free"),
        pytest.param(["a", "a"], unique("a"), True, id="a-repeated-key-counts-once"),
        pytest.param(["a"], unique("a", "a"), True, id="a-repeated-column-counts-once"),
        pytest.param(["a"], unique("a", "b"), False, id="wider-index-does-not-count"),
        pytest.param(["a", "b"], unique("a"), False, id="narrower-index-does-not-count"),
        pytest.param(["A"], unique("a"), False, id="letter-case-of-columns-counts"),
        pytest.param(["a"], unique("a", where="b IS NULL"), False, id="partial-index-needs-its-predicate"),
        pytest.param(["a"], unique("a", immediate=False), False, id="deferrable-cannot-arbitrate"),
        pytest.param(["a"], unique("a", valid=False), False, id="invalid-cannot-arbitrate"),
        pytest.param(
            ["a"], unique("a", unique=False, exclusion=True), False, id="exclusion-cannot-arbitrate"
        ),
        pytest.param(["a"], unique("a", exclusion=True), False, id="without-overlaps-cannot-arbitrate"),
        pytest.param(["lower(a)"], unique("lower(a::text)"), True, id="expression-with-the-server's-cast"),
        pytest.param(["LOWER( a )"], unique("lower(a)"), True, id="expression-in-another-spelling"),
        pytest.param(["lower(a)"], unique("upper(a)"), False, id="another-expression"),
        pytest.param(["lower(a)", "b"], unique("b", "lower(a)"), True, id="expression-and-column"),
        pytest.param(["a"], unique("lower(a)"), False, id="expression-is-not-its-column"),
    ],
)
def test_arbiter_is_the_unique_index_over_exactly_the_keys(
    keys: list[str], index: IndexFacts, fits: bool
) -> None:
    assert find_arbiter(keys, [index]) == (index if fits else None)


@pytest.mark.parametrize(
    ("predicate", "index", "fits"),
    [
        pytest.param("b IS NULL", unique("a", where="b IS NULL"), True, id="same"),
        pytest.param("(b is null)", unique("a", where="b IS NULL"), True, id="same-but-for-spelling"),
        pytest.param("b IS NOT NULL", unique("a", where="b IS NULL"), False, id="another"),
        pytest.param(
            "b = 'x'", unique("a", where="b = 'x'::text"), True, id="literal-with-the-server's-cast"
        ),
        pytest.param(
            "b = 'X'", unique("a", where="b = 'x'::text"), False, id="letter-case-of-literals-counts"
        ),
        pytest.param("live", unique("a"), True, id="full-index-serves-any-predicate"),
    ],
)
def test_a_partial_index_arbitrates_under_its_own_predicate(
    predicate: str, index: IndexFacts, fits: bool
) -> None:
    assert find_arbiter(["a"], [index], predicate=predicate) == (index if fits else None)


@pytest.mark.parametrize(
    ("indexes", "chosen"),
    [
        pytest.param([unique("a", where="b"), unique("a", name="full")], "full", id="full-before-partial"),
        pytest.param([unique("a", name="x"), unique("a", name="pk", primary=True)], "pk", id="primary-first"),
        pytest.param(
            [unique("a", name="i"), unique("a", name="k", constraint="k")], "k", id="constraint-first"
        ),
        pytest.param([unique("a", name="y"), unique("a", name="x")], "x", id="else-by-name"),
        pytest.param(
            [unique("a", name="x", valid=False), unique("a", name="y")], "y", id="invalid-ones-aside"
        ),
    ],
)
def test_of_several_matching_indexes_the_plainest_is_chosen(indexes: list[IndexFacts], chosen: str) -> None:
    arbiter = find_arbiter(["a"], indexes, predicate="b")

    assert arbiter is not None
    assert arbiter.name == chosen


def test_a_deferrable_twin_spoils_a_good_index_because_the_server_infers_both() -> None:
    indexes = [unique("a", name="good"), unique("a", name="twin", immediate=False)]

    assert find_arbiter(["a"], indexes) is None
    assert pick_inferred({"good", "twin"}, indexes) is None
    assert (
        explain_misfit(["a"], indexes) == "twin (a) is DEFERRABLE, which rules out ON CONFLICT on its columns"
    )


def test_of_inferred_indexes_only_those_named_are_considered() -> None:
    indexes = [unique("lower(a)", name="x"), unique("b", name="y", primary=True)]

    assert pick_inferred(["x"], indexes) == indexes[0]
    assert pick_inferred([], indexes) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("lower(email)", "LOWER ( email::text )"),
        ("lower(email)", 'lower("email")'),
        ("lower(email)", "lower((email)::character varying)"),
        ("lower(email)", "(lower(email::text))"),
        ("a = 'x'", "((a)::text = 'x'::text)"),
        ("at > '2020-01-01'", "at > '2020-01-01'::timestamp with time zone"),
        ("at > '2020-01-01'", "at > '2020-01-01'::date"),
        ("n > 5", "n > 5::numeric"),
        ("n > 5", "n > (5)::numeric"),
        ("tags = '{}'", "tags = '{}'::text[]"),
        ("a != b", "a <> b"),
        ("live AND NOT gone", "live and not (gone)"),
        ("e", "((e))"),
    ],
)
def test_spelling_alone_makes_no_other_expression(left: str, right: str) -> None:
    assert normal(left) == normal(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("lower(a)", "lower(b)"),
        ('lower("A")', "lower(a)"),
        ("a = 'X'", "a = 'x'"),
        ("ts", "ts::date"),
        ("n > 1.55", "n > 1.55::numeric(3,1)"),
        ("lower(a)", "lower(a::varchar(3))"),
        ("(a + b) * c", "a + b * c"),
        ("(a) + (b)", "(a + b)::int"),
        ("f(a)", "f a"),
        ("a = 'it''s'", "a = 'its'"),
    ],
)
def test_a_difference_that_matters_stays(left: str, right: str) -> None:
    assert normal(left) != normal(right)


@pytest.mark.parametrize(
    ("indexes", "words"),
    [
        pytest.param([], "the table has no unique index", id="none"),
        pytest.param([unique("a", "b", name="x")], "x (a, b) has more keys", id="wider"),
        pytest.param([unique("c", name="x")], "x (c) has other keys", id="other"),
        pytest.param(
            [unique("a", name="x", where="b IS NULL")],
            "x (a) is partial (WHERE b IS NULL): add conflict_where with this predicate",
            id="partial",
        ),
        pytest.param(
            [unique("a", name="X", valid=False), unique("c")],
            'X (a) is invalid, its creation failed: REINDEX INDEX CONCURRENTLY "X"',
            id="invalid-and-nothing-about-others",
        ),
        pytest.param(
            [unique("a", name="x", unique=False, exclusion=True)],
            "x (a) is an exclusion constraint, which can't be matched to keys",
            id="exclusion",
        ),
    ],
)
def test_a_misfit_is_explained_in_words(indexes: list[IndexFacts], words: str) -> None:
    assert explain_misfit(["a"], indexes) == words


def test_a_partial_index_with_another_predicate_says_which() -> None:
    words = explain_misfit(["a"], [unique("a", name="x", where="b IS NULL")], predicate="c")

    assert words == "x (a) is partial, and its predicate is another: WHERE b IS NULL"


def test_an_index_with_fewer_keys_is_told_from_one_with_other_keys() -> None:
    assert explain_misfit(["a", "b"], [unique("a", name="x")]) == "x (a) has fewer keys"


@pytest.mark.parametrize(
    ("keys", "inside"),
    [
        (["a", '"B c"'], 'a, "B c"'),
        (["lower(a)"], "lower(a)"),
        (["lower(a) || b"], "(lower(a) || b)"),
        (["(a + b)"], "(a + b)"),
        (["(a) + (b)"], "((a) + (b))"),
        (["coalesce(a, b)"], "(coalesce(a, b))"),
        (["a::text"], "(a::text)"),
    ],
)
def test_an_index_hint_puts_expressions_in_parentheses(keys: list[str], inside: str) -> None:
    hint = create_index_hint("public", "t", keys)

    assert hint == f"CREATE UNIQUE INDEX CONCURRENTLY ON public.t ({inside});"


def test_an_index_hint_for_a_partitioned_table_leaves_out_concurrently() -> None:
    hint = create_index_hint("my shop", "order", ["id"], "live", concurrently=False)

    assert hint == 'CREATE UNIQUE INDEX ON "my shop"."order" (id) WHERE live;'


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("email", "email"),
        ("a1_b", "a1_b"),
        ("Email", '"Email"'),
        ("user", '"user"'),
        ("1a", '"1a"'),
        ("a b", '"a b"'),
        ('say "hi"', '"say ""hi"""'),
        ("größe", '"größe"'),
        ("a$b", '"a$b"'),
        ("", '""'),
    ],
)
def test_names_are_quoted_only_where_they_must_be(name: str, written: str) -> None:
    assert quote_if_needed(name) == written
