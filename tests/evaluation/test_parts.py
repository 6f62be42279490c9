from __future__ import annotations

from memreward.evaluation.parts import code_hash, part_key, syntax

SOURCE = """
def twice(x: int) -> int:
    return 2 * x
"""
COMMENTED = """
# A comment.
def twice(
    x: int,
) -> int:
    '''Say what it does.'''
    return 2 * x  # twice
"""


def test_comments_docstrings_and_layout_are_not_what_code_does() -> None:
    assert syntax(SOURCE) == syntax(COMMENTED)
    assert syntax(SOURCE) != syntax(SOURCE.replace("2 *", "3 *"))


def test_code_is_told_apart_by_place() -> None:
    assert code_hash("answers") == code_hash("answers")
    assert (
        len({code_hash("answers"), code_hash("network"), code_hash("answers", "network"), code_hash("types.py")}) == 4
    )


def test_a_part_is_named_by_all_that_it_heeds() -> None:
    heeds = {"seed": 1, "settings": {"steps": 3, "shared": False}}
    assert part_key(heeds) == part_key({"seed": 1, "settings": {"steps": 3}, "new": ""})
    others = [{**heeds, "seed": 2}, {**heeds, "settings": {"steps": 3, "shared": True}}, {**heeds, "new": "x"}]
    assert len({part_key(heeds), *map(part_key, others)}) == 4
