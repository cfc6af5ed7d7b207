"""What Daft answers otherwise than DuckDB is rewritten or refused; tests/engines asks both."""

import json

import duckdb
import pytest

from probes.fleet.daft_differences import settle

OLD = int(duckdb.__version__.split(".")[0]) < 2
needs_parser = pytest.mark.skipif(
    OLD, reason="Daft's questions need duckdb 2.0 or newer, whose parser reads them"
)
TYPES = {
    "run": "VARCHAR", "step": "INTEGER", "layer": "SMALLINT", "living": "BOOLEAN", "kl": "FLOAT",
    "score": "DOUBLE",
}  # fmt: skip


def settled(query):
    with duckdb.connect(":memory:") as connection:
        [(text,)] = connection.execute("select json_serialize_sql(?::varchar)", [query]).fetchall()
        tree = json.loads(text)
        settle(connection, tree, TYPES)
        written = connection.execute("select json_deserialize_sql(?::json)", [json.dumps(tree)]).fetchall()
    return written[0][0]


def of_max(text):
    return (
        f"CASE  WHEN ((max(CASE  WHEN (({text} > CAST('inf' AS double))) THEN (1) ELSE 0 END) = 1))"
        f" THEN (CAST('nan' AS double)) ELSE max({text}) END"
    )


@needs_parser
@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("select max(kl) as most from t", f"SELECT {of_max('kl')} AS most FROM t"),
        ("select max(score) - 1 from t", f"SELECT ({of_max('score')} - 1) FROM t"),
        ("select max(step), max(run), max(living) from t", "SELECT max(step), max(run), max(living) FROM t"),
        ("select max(abs(step) + 1) from t", "SELECT max((abs(step) + 1)) FROM t"),
        ("select step from t where kl <= 0.2", "SELECT step FROM t WHERE (kl <= 0.20000000298023224)"),
        ("select step from t where score <= 0.2", "SELECT step FROM t WHERE (score <= 0.2)"),
        ("select step from t where kl <= 2e-1", "SELECT step FROM t WHERE (kl <= 2e-1)"),
        (
            "select step from t where kl in (-0.2, 1) or kl between 0.1 and 2",
            "SELECT step FROM t WHERE ((kl IN (-0.20000000298023224, 1))"
            " OR (kl BETWEEN 0.10000000149011612 AND 2))",
        ),
        (
            "select avg(living::int) as living, round(kl)::int, run::varchar, (kl > 1)::int from t",
            "SELECT avg(CAST(living AS INTEGER)) AS living, CAST(round(kl) AS INTEGER), CAST(run AS VARCHAR),"
            " CAST((kl > 1) AS INTEGER) FROM t",
        ),
    ],
)
def test_what_can_be_is_rewritten_and_the_rest_left_as_it_is(query, written):
    assert settled(query) == written


@needs_parser
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select kl::int from t", "write round"),
        ("select max((score * 10)::int) from t", "write round"),
        ("select cast(run as int) from t", "write round"),
        ("select kl::varchar from t", "leave them numbers"),
        ("select kl::float from t", "a cast to float was not found"),
        ("select x::int from (select kl as x from t)", "write round"),
        ("select living::int from (select kl as living from t)", "write round"),
        ("select hash(run) from t", "the function hash"),
        ("select sign(kl) from t", "the function sign"),
        ("select count(distinct kl) from t", "NaN otherwise among distinct"),
        ("select sum(step) over (partition by run order by step) from t", "it sums windows"),
        ("select row_number() over (order by step) from t", "it sums windows"),
        ("select run, (select max(score) from s where s.run = t.run) from t", "write it as a join"),
        ("select distinct run from t order by run", "write `group by`"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(query, says):
    with pytest.raises(ValueError, match=says):
        settled(query)


@needs_parser
def test_what_is_the_same_is_let_through():
    query = "SELECT run, count_star(), count(DISTINCT step), sum(kl) FROM t GROUP BY run"
    assert settled(query) == query


def test_an_older_parser_is_refused_by_name():
    class Old:
        def execute(self, _):
            return self

        def fetchall(self):
            return [("v1.4.0",)]

    with pytest.raises(ValueError, match=r"this is v1\.4\.0: pip install 'duckdb>=2'"):
        settle(Old(), {}, TYPES)
