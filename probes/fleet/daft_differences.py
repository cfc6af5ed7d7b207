"""Where Daft computes something else than DuckDB for the same words: rewritten where it can be, else refused.

Found by asking both the same questions of rows with NaN, infinities, nulls and negative zeros. What is on
none of the lists below was not compared, and so is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT")
"""DuckDB's types of whole numbers that a fleet's tables have."""
SAME_FUNCTIONS = frozenset({
    "count", "count_star", "sum", "avg", "mean", "min", "max", "median", "product", "bool_and", "bool_or",
    "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop",
    "+", "-", "*", "/", "//", "%", "abs", "floor", "ceil", "round", "sqrt", "cbrt", "exp", "ln", "log2",
    "log10", "power", "pow", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan2", "radians", "degrees", "pi",
    "upper", "lower", "length",
})  # fmt: skip
"""Functions whose answers were found to be the same (`max` once it is rewritten)."""
ROUNDED = ("round", "floor", "ceil")
_DECIMAL = re.compile(r"-?[0-9]*\.[0-9]*")
_MAX = (
    "select case when max(case when x > 'inf'::double then 1 else 0 end) = 1 then 'nan'::double"
    " else max(x) end"
)


def dictionaries(tree: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a question as DuckDB's parser gives it."""
    if isinstance(tree, dict):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from dictionaries(inner)


def settle(connection: Any, tree: Any, types: Mapping[str, str]) -> None:
    """Make a question one that both answer alike, in place.

    Parameters
    ----------
    connection
        Of DuckDB.
    tree
        The question, as `json_serialize_sql` gives it.
    types
        DuckDB's types of the columns of the tables that it names.

    Raises
    ------
    ValueError
        Where they would answer otherwise; the message says what to write instead. With a DuckDB before 2.0,
        whose parser gives another tree.
    """
    [(version,)] = connection.execute("select version()").fetchall()
    if int(version.lstrip("v").split(".")[0]) < 2:
        raise ValueError(
            f"it is asked by the parser of DuckDB 2.0 or newer, this is {version}: pip install 'duckdb>=2'"
        )
    nodes = list(dictionaries(tree))
    within = [node for node in nodes if "select_list" in node and node is not tree["statements"][0]["node"]]
    own = {
        one["alias"] for node in within for one in node["select_list"]
    }  # they may be called as a column is
    known = {name: kind for name, kind in types.items() if name not in own}
    for node in reversed(nodes):  # what is within something first
        kind = node.get("class")
        if kind == "FUNCTION":
            _settle_function(connection, node, known)
        elif kind == "CAST":
            _refuse_cast(node, known)
        elif kind in ("COMPARISON", "BETWEEN") or node.get("type") in ("COMPARE_IN", "COMPARE_NOT_IN"):
            _compare_in_single_precision(node, known)
        elif kind == "WINDOW":
            raise ValueError("it sums windows and sorts what has some otherwise: ask DuckDB, or a `group by`")
        if any(one.get("class") == "SUBQUERY" for one in node.get("select_list") or ()):
            raise ValueError("a query as a column loses the order of rows: write it as a join")
        ways = {one.get("type") for one in node.get("modifiers") or ()}
        if {"DISTINCT_MODIFIER", "ORDER_MODIFIER"} <= ways:
            raise ValueError("it sorts nulls elsewhere after `distinct`: write `group by` in place of it")


def _settle_function(connection: Any, node: dict[str, Any], types: Mapping[str, str]) -> None:
    name = node["function_name"]
    if name not in SAME_FUNCTIONS:
        raise ValueError(f"the function {name} was not found to answer as DuckDB's does")
    arguments = [one["expression"] for one in node["arguments"]]
    sure = all(_kind(one, types) in ("whole", "bool", "text") for one in arguments)
    if node["distinct"] and not sure:
        raise ValueError("it counts NaN otherwise among distinct numbers: count those of a `group by`")
    if name == "max" and not sure:  # it passes over NaN, which is the greatest number to DuckDB
        [(text,)] = connection.execute("select json_serialize_sql(?::varchar)", [_MAX]).fetchall()
        [made] = json.loads(text)["statements"][0]["node"]["select_list"]
        for one in list(dictionaries(made)):
            if one.get("column_names") == ["x"]:
                _replace(one, deepcopy(arguments[0]))
        _replace(node, made | {"alias": node["alias"]})


def _replace(node: dict[str, Any], other: Mapping[str, Any]) -> None:
    node.clear()
    node.update(other)


def _refuse_cast(node: dict[str, Any], types: Mapping[str, str]) -> None:
    """Casts that cut where DuckDB rounds, or write numbers otherwise."""
    child, target = node["child"], node["type_expr"]["type_name"].upper()
    kind = _kind(child, types)
    sure = kind in ("whole", "bool")
    if target in WHOLE and not (sure or child.get("function_name") in ROUNDED):
        raise ValueError("it cuts numbers off where DuckDB rounds: write round(...)::int, or floor(...)::int")
    if target == "VARCHAR" and not (sure or kind == "text"):
        raise ValueError("it writes numbers as text otherwise: leave them numbers")
    if target == "DOUBLE" or target in WHOLE or target == "VARCHAR" or (target == "BOOLEAN" and sure):
        return
    raise ValueError(f"a cast to {target.lower()} was not found to be DuckDB's: write ::double")


def _compare_in_single_precision(node: dict[str, Any], types: Mapping[str, str]) -> None:
    """A float32 column is compared with a decimal number as float32 by DuckDB."""
    sides = [node[name] for name in ("left", "right", "input", "lower", "upper") if name in node]
    sides += node.get("children", [])
    if not any(_kind(one, types) == "single" for one in sides):
        return
    for one in sides:
        literal = one.get("literal") or {}
        if literal.get("kind") == "NUMERIC" and _DECIMAL.fullmatch(literal["text"]):
            literal["text"] = repr(float(np.float32(literal["text"])))


def _kind(node: Mapping[str, Any], types: Mapping[str, str]) -> str | None:
    """What an expression gives: "whole", "bool", "text", "single" (float32); None: a double or not known."""
    kind = node["class"]
    if kind == "COLUMN_REF":
        of_duckdb = types.get(node["column_names"][-1], "")
        names = {"BOOLEAN": "bool", "VARCHAR": "text", "FLOAT": "single"}
        return "whole" if of_duckdb in WHOLE else names.get(of_duckdb)
    if kind == "CONSTANT":
        of_parser = (node.get("literal") or {}).get("kind")
        return {"INTEGER": "whole", "STRING": "text", "BOOLEAN": "bool", "NUMERIC": "double"}.get(
            str(of_parser)
        )
    if kind == "CAST":
        target = node["type_expr"]["type_name"].upper()
        return "whole" if target in WHOLE else {"BOOLEAN": "bool", "VARCHAR": "text"}.get(target)
    if kind in ("COMPARISON", "CONJUNCTION", "BETWEEN"):
        return "bool"
    if kind == "OPERATOR" and node["type"] != "OPERATOR_COALESCE":
        return "bool"
    if kind == "FUNCTION" and node["function_name"] in ("count", "count_star"):
        return "whole"
    if kind == "FUNCTION" and node["function_name"] in ("+", "-", "*", "//", "%", "sum", "min", "max", "abs"):
        inner = {_kind(one["expression"], types) for one in node["arguments"]}
        return "whole" if inner == {"whole"} else None
    return None
