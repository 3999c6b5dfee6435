"""The rule that is always there: how many log records each service wrote, by level, as series that PromQL reads.

In: what rules on logs are read with. Out: one group. Its windows follow each other, so that what it records over a time adds up
to the records of that time.
"""

from __future__ import annotations

from aiprism import yamlfile
from aiprism.detect import rules
from aiprism.detect.rules import Group
from aiprism.detect.signals import Reading

FILE = "aiprism"  # where `/api/v1/rules` says it is from
METRIC = "log_records:count1m"
_GROUPS = f"""
groups:
- name: log-volume
  interval: 1m
  rules:
  - {{record: '{METRIC}', logs: '', by: [service, level], over: 1m}}
"""


def groups(reading: Reading) -> tuple[Group, ...]:
    """The group of the rule."""
    return rules.read(yamlfile.parse(_GROUPS, file=FILE), reading=reading)
