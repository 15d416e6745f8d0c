"""Charts of characters."""

from swinkit.visualize.terminal import block_chart


def test_a_ramp_is_a_ramp() -> None:
    assert block_chart([0, 1, 2, 3, 4], height=1) == [" ▂▄▆█"]
    assert block_chart([0, 1, 2, 3, 4], height=2) == ["   ▄█", " ▄███"]


def test_many_values_are_averaged() -> None:
    assert block_chart([1.0] * 1000, width=10, height=1) == ["█" * 10]
    assert block_chart([0.0] * 3, height=1) == ["   "]
