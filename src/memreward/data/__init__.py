"""Where questions and rollouts come from: files of the rollout schema, benchmarks, generated questions, and splits."""

from memreward.data.benchmarks import Benchmark, benchmarks
from memreward.data.files import format_of, groups_from_rows, read_groups, write_groups
from memreward.data.questions import load_questions, sample_questions
from memreward.data.records import group_from_record, group_to_record
from memreward.data.splits import Split, SplitConfig, make_split, part_of, read_split, write_split

__all__ = [
    "Benchmark",
    "Split",
    "SplitConfig",
    "benchmarks",
    "format_of",
    "group_from_record",
    "group_to_record",
    "groups_from_rows",
    "load_questions",
    "make_split",
    "part_of",
    "read_groups",
    "read_split",
    "sample_questions",
    "write_groups",
    "write_split",
]
