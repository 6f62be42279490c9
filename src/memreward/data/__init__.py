"""Where questions and rollouts come from: files of the rollout schema and of others, and samples of questions."""

from memreward.data.files import (
    format_of,
    groups_from_rows,
    load_questions,
    read_groups,
    sample_questions,
    write_groups,
)
from memreward.data.records import group_from_record, group_to_record

__all__ = [
    "format_of",
    "group_from_record",
    "group_to_record",
    "groups_from_rows",
    "load_questions",
    "read_groups",
    "sample_questions",
    "write_groups",
]
