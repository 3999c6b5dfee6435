"""An expression over several lines, as Prometheus' format_query lays it out: what fits into a line of 100 characters stays in
one; of what does not, each operand and argument gets a line of its own, two blanks further in.
"""

from __future__ import annotations

from aiprism.query.promql.syntax import Aggregation, Binary, Call, Expr, Negation, Paren, Subquery, in_order

_WIDTH = 100
_INDENT = "  "


def pretty(expr: Expr) -> str:
    """`expr` as PromQL that means the same."""
    return _laid_out(in_order(expr), 0)


def _laid_out(expr: Expr, level: int) -> str:
    text, indent = str(expr), _INDENT * level
    if len(text) <= _WIDTH:
        return indent + text
    match expr:
        case Paren():
            return f"{indent}(\n{_laid_out(expr.expr, level + 1)}\n{indent})"
        case Negation():
            return f"{indent}-{_laid_out(expr.expr, level).strip()}"
        case Subquery():
            return _laid_out(expr.expr, level) + expr.window()
        case Binary():
            return f"{_laid_out(expr.left, level + 1)}\n{indent}{expr.operator()}\n{_laid_out(expr.right, level + 1)}"
        case Aggregation():
            inside = (expr.expr,) if expr.param is None else (expr.param, expr.expr)
            return f"{indent}{expr.operator()}({_lines(inside, level)})"
        case Call():
            return f"{indent}{expr.function}({_lines(expr.args, level)})"
        case _:
            return indent + text


def _lines(inside: tuple[Expr, ...], level: int) -> str:
    return "\n" + ",\n".join(_laid_out(each, level + 1) for each in inside) + f"\n{_INDENT * level}"
