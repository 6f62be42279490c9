"""A policy of a million parameters that errs as real ones do, and questions that it can learn from within minutes."""
