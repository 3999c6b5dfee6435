"""PromQL over the sample store.

    text → parse (syntax tree) → plan (leaves for the store, fixed parts, folded constants) → evaluate → values

`PromQL` is the door. Values flow as blocks of series by steps (blocks.py) whose labels are columns of codes
(labelsets.py); functions live in kernels.py (over range vectors) and functions.py, operators in operators.py and
aggregate.py.
"""

from aiprism.query.promql.engine import PromQL
from aiprism.query.promql.limits import Limits
from aiprism.query.promql.notes import Notes
from aiprism.query.promql.values import Matrix, QueryFailed, Scalar, Series, String, Value, Vector, VectorItem

__all__ = [
    "Limits",
    "Matrix",
    "Notes",
    "PromQL",
    "QueryFailed",
    "Scalar",
    "Series",
    "String",
    "Value",
    "Vector",
    "VectorItem",
]
