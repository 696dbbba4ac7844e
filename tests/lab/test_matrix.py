"""Each row of the matrix reaches its best outcome; the times stand in a table at the end of the run, and are not asserted."""
import pytest

import matrix


@pytest.mark.parametrize("row", [pytest.param(r, id=r.name.replace(" ", "-"), marks=[pytest.mark.quick] if r.quick else []) for r in matrix.ROWS])
def test_row(row, table):
    table(matrix.line(matrix.HEADS), matrix.line(matrix.cells(row, matrix.measure(row))))
