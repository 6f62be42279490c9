"""Rollout files: the JSON Lines schema, read and written as JSON Lines, gzip or Parquet."""

from memreward.data.files import Duplicates, read_groups, write_groups
from memreward.data.records import group_from_record, group_to_record

__all__ = ["Duplicates", "group_from_record", "group_to_record", "read_groups", "write_groups"]
