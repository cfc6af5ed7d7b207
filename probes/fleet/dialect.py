"""A question in DuckDB's SQL as one in Daft's: the same words where both know them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from probes.fleet.daft_differences import dictionaries, settle

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_JOIN = re.compile(r"\bFROM \((?!SELECT|WITH|VALUES|FROM)")


def for_daft(connection: Any, query: str, columns: Sequence[str], types: Mapping[str, str]) -> str:
    """Rewrite a question: `group by all` and `order by all` written out, nulls last as DuckDB has them, each
    column of the answer under the name that DuckDB gives it, one that comes again with its place after it.

    Parameters
    ----------
    connection
        Of DuckDB, whose parser reads the question and writes the answer.
    query
        One SELECT statement.
    columns
        Of DuckDB's answer, in order.
    types
        DuckDB's types of the columns of the tables that it names.

    Returns
    -------
    str
        SQL.

    Raises
    ------
    ValueError
        Where Daft would answer otherwise than DuckDB.
    """
    [(text,)] = connection.execute("select json_serialize_sql(?::varchar)", [query]).fetchall()
    tree = json.loads(text)
    settle(connection, tree, types)
    columns = [f"{name}_{at}" if name in columns[:at] else name for at, name in enumerate(columns)]
    found = connection.execute(
        "select distinct function_name from duckdb_functions() where function_type = 'aggregate'"
    ).fetchall()
    aggregates = {name for (name,) in found}
    top = tree["statements"][0]["node"]
    if top["type"] == "SELECT_NODE" and len(top["select_list"]) == len(columns):
        for item, name in zip(top["select_list"], columns, strict=True):
            if item["class"] != "STAR":
                item["alias"] = item["alias"] or name
    for node in dictionaries(tree):
        if node.get("type") == "SELECT_NODE" and node["aggregate_handling"] == "FORCE_AGGREGATES":
            _write_out_groups(node, aggregates)
        if "orders" in node:
            names = columns if node in top.get("modifiers", []) else []
            node["orders"] = [one for order in node["orders"] for one in _written_out(order, names)]
    [(written,)] = connection.execute("select json_deserialize_sql(?::json)", [json.dumps(tree)]).fetchall()
    return _plain(str(written)).replace("count_star()", "count(*)")


def _plain(text: str) -> str:
    """SQL without the parentheses that DuckDB writes around joins, which Daft takes for a query."""
    while True:
        quoted = {at for one in _QUOTED.finditer(text) for at in range(*one.span())}
        joins = (one for one in _JOIN.finditer(text) if one.start() not in quoted)
        first = next(joins, None)
        if first is None:
            return text
        depth, end = 1, first.end()
        while depth:
            depth += 0 if end in quoted else {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        text = text[: first.end() - 1] + text[first.end() : end - 1] + text[end:]


def _write_out_groups(node: dict[str, Any], aggregates: set[str]) -> None:
    """`group by all`: by every item that holds no aggregate."""
    groups = [
        item
        for item in node["select_list"]
        if not any(
            one.get("class") == "FUNCTION" and one["function_name"] in aggregates
            for one in dictionaries(item)
        )
    ]
    node["group_expressions"] = [{**item, "alias": ""} for item in groups]
    node["group_sets"] = [list(range(len(groups)))] if groups else []
    node["aggregate_handling"] = "STANDARD_HANDLING"


def _written_out(order: dict[str, Any], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One term of an ORDER BY; of `order by all` one a column."""
    order = dict(order)
    if order["null_order"] == "ORDER_DEFAULT":
        order["null_order"] = "NULLS_LAST"
    expression = order["expression"]
    if expression["class"] != "STAR" or not names:
        yield order
        return
    plain = {key: expression[key] for key in ("alias", "query_location") if key in expression}
    for name in names:
        named = {"class": "COLUMN_REF", "type": "COLUMN_REF", **plain, "column_names": [name]}
        yield {**order, "expression": named}
