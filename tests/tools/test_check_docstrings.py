"""What a docstring lacks is named, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_docstrings import check


def lacks(root: Path, code: str, name: str = "tflm_quantmcu/a.py") -> str:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(code)
    return "\n".join(check(root, [name]))


@pytest.mark.parametrize(
    "docstring",
    [
        "Scales x, int8 [N, H, W, C]; float32 of the same shape.",
        "Scales x; arguments as of `conv2d`.",
        "Scales x, of any dtype and shape.",
        "Scales.\n\n    Args:\n      x: Float64 [N].\n    ",
    ],
)
def test_what_says_it_all_is_left_alone(tmp_path: Path, docstring: str) -> None:
    assert not lacks(tmp_path, f'def f(x: np.ndarray) -> np.ndarray:\n    """{docstring}"""\n')


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Scales x, int8.", "1: f has arrays whose shapes are not told"),
        ("Scales x [N].", "1: f has arrays whose dtypes are not told"),
        ("Of x, int8 [N].", "a docstring begins with the preposition 'Of'"),
    ],
)
def test_what_is_not_said_is_named(tmp_path: Path, docstring: str, expected: str) -> None:
    assert expected in lacks(tmp_path, f'def f(x: np.ndarray) -> None:\n    """{docstring}"""\n')


def test_many_parameters_are_explained_one_by_one(tmp_path: Path) -> None:
    head = "def f(a: int, b: int, c: int, d: int) -> int:\n"
    assert "f has 4 parameters and no Args" in lacks(tmp_path, head + '    """Adds."""\n')
    assert not lacks(tmp_path, head + '    """Adds.\n\n    Args:\n      a, b, c, d: what.\n    """\n')
    assert not lacks(tmp_path, head.replace(", d: int", "") + '    """Adds."""\n')


def test_a_class_explains_what_makes_it(tmp_path: Path) -> None:
    made = "    def __init__(self, a: int, b: int, c: int, d: int) -> None:\n        pass\n"
    assert "A has 4 parameters" in lacks(tmp_path, f'class A:\n    """One."""\n\n{made}')
    assert not lacks(tmp_path, f'class A:\n    """One.\n\n    Attributes:\n      a: what.\n    """\n\n{made}')


def test_what_is_private_or_not_of_the_package_may_be_short(tmp_path: Path) -> None:
    head = "(a: np.ndarray, b: int, c: int, d: int) -> int:\n"
    assert not lacks(tmp_path, "def _f" + head + "    return 1\n")
    assert not lacks(tmp_path, "def f" + head + "    return 1\n", "tools/a.py")
    assert "preposition" in lacks(tmp_path, '"""At last."""\n', "tools/a.py")
