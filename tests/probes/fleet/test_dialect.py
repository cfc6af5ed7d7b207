"""Questions in DuckDB's words as Daft takes them."""

import duckdb
import pytest

from probes.fleet.dialect import for_daft

pytestmark = pytest.mark.skipif(
    int(duckdb.__version__.split(".")[0]) < 2,
    reason="Daft's questions need duckdb 2.0 or newer, whose parser reads them",
)


@pytest.mark.parametrize(
    ("query", "columns", "written"),
    [
        (
            "select beta, avg(x::int) from runs group by all order by all",
            ["beta", "avg(x)"],
            'SELECT beta AS beta, avg(CAST(x AS INTEGER)) AS "avg(x)" FROM runs GROUP BY beta'
            ' ORDER BY beta NULLS LAST, "avg(x)" NULLS LAST',
        ),
        (
            "select count(*) from a join b using (run)",
            ["n"],
            "SELECT count(*) AS n FROM a INNER JOIN b USING (run)",
        ),
        (
            "select x from a join (select * from b) t on a.run = t.run join c using (run)"
            " where x = 'FROM (y'",
            ["x"],
            "SELECT x AS x FROM a INNER JOIN (SELECT * FROM b) AS t ON ((a.run = t.run))"
            " INNER JOIN c USING (run) WHERE (x = 'FROM (y')",
        ),
        (
            "select a.run, b.run, x from a join b on a.beta = b.beta order by all",
            ["run", "run", "x"],
            "SELECT a.run AS run, b.run AS run_1, x AS x FROM a INNER JOIN b ON ((a.beta = b.beta))"
            " ORDER BY run NULLS LAST, run_1 NULLS LAST, x NULLS LAST",
        ),
        (
            "select * from runs order by beta desc nulls first",
            ["beta"],
            "SELECT * FROM runs ORDER BY beta DESC NULLS FIRST",
        ),
    ],
)
def test_a_question_is_written_out(query, columns, written):
    with duckdb.connect(":memory:") as connection:
        assert for_daft(connection, query, columns, {"x": "BOOLEAN"}) == written
