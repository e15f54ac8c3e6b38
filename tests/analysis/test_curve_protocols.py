"""The learning curve keeps scores of different protocols apart and names the difference."""

from PIL import Image

from zoo_core.analysis.curve import save_curve, series


def row(step: int, value: float, guidance: float = 7.5, count: int = 128) -> dict:
    ingredients = {
        "drawing": {"sampling": {"guidance": guidance}},
        "prompts": {"count": count},
    }
    return {
        "step": step,
        "metric": "tifa",
        "value": value,
        "stderr": 0.01,
        "details": {"chance": 0.3},
        "protocol": f"{guidance}-{count}",
        "ingredients": ingredients,
    }


def test_one_protocol_is_one_line_in_the_order_of_steps():
    ((label, points),) = series([row(8, 0.5), row(4, 0.4)])
    assert label == "as first scored"
    assert [point["step"] for point in points] == [4, 8]


def test_other_protocols_are_lines_of_their_own_that_say_what_differs():
    curves = series([row(4, 0.4), row(8, 0.5), row(8, 0.6, guidance=4.0), row(12, 0.7, count=256)])
    assert [label for label, _ in curves] == [
        "as first scored",
        "guidance 4.0 against 7.5",
        "number of prompts 256 against 128",
    ]
    assert [[point["value"] for point in points] for _, points in curves] == [
        [0.4, 0.5],
        [0.6],
        [0.7],
    ]


def test_of_a_step_scored_twice_the_last_counts():
    ((_, points),) = series([row(4, 0.4), row(4, 0.45)])
    assert [point["value"] for point in points] == [0.45]


def test_the_picture_is_drawn(tmp_path):
    rows = [row(4, 0.4), row(8, 0.5), row(8, 0.6, guidance=4.0)]
    save_curve(tmp_path / "one.png", rows[:2], "sd2")
    save_curve(tmp_path / "two.png", rows, "sd2")
    one, two = (Image.open(tmp_path / f"{name}.png").tobytes() for name in ("one", "two"))
    assert one != two
