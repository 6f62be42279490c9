"""Python: solutions compared by their syntax tree, and judged by tests."""
