import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from hw1lib.submission import names
from hw1lib.submission.names import (
    IdError,
    decide_ids,
    has_check_digit,
    parse_ids,
    submission_name,
)

student_ids = st.text("0123456789", min_size=5, max_size=9)


@given(st.lists(student_ids, min_size=1, max_size=2, unique_by=int))
def test_ids_of_digits_name_the_submission_in_their_order(ids):
    assert parse_ids(ids) == tuple(ids)
    assert submission_name(ids) == "HW1_" + "_".join(ids)


@given(st.lists(student_ids, min_size=1, max_size=2, unique_by=int))
@pytest.mark.parametrize("work", ["HW1", "DL27_HW1"])
def test_the_ids_are_read_from_the_name_whatever_the_course_calls_its_work(work, ids):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(names, "COURSE_WORK", work)
        assert names.ids_in(submission_name(ids)) == ids
        assert names.ids_in(f"HW2_{ids[0]}") == []


@pytest.mark.parametrize("ids", [["ID1"], ["ID1", "ID2"]])
def test_placeholders_are_allowed_until_the_students_set_theirs(ids):
    assert submission_name(ids) == "HW1_" + "_".join(ids)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "0 IDs given"),
        ([""], "ID 1 is ''"),
        (["12345", "23456", "34567"], "3 IDs given"),
        (["1234"], "ID 1 is '1234'"),
        (["1234567890"], "ID 1 is '1234567890'"),
        (["123456789", "12345678x"], "ID 2 is '12345678x'"),
        (["12345678-9"], "5 to 9 digits"),
        (["123456789,987654321"], "5 to 9 digits"),
        ([" 123456789"], "5 to 9 digits"),
        (["123456789\n"], "5 to 9 digits"),
        (["١٢٣٤٥٦٧٨٩"], "5 to 9 digits"),
        (["../../etc"], "5 to 9 digits"),
        ([123456789], "ID 1 is 123456789"),
        ([None], "ID 1 is None"),
        (["123456789", "123456789"], "both IDs are 123456789"),
        (["012345678", "12345678"], "both IDs are 012345678"),
        (["123456789", "ID2"], "ID 2 is still the placeholder"),
        (["ID2", "ID1"], "ID 1 is still the placeholder"),
        (["ID1", "ID1"], "ID 1 is still the placeholder"),
    ],
)
def test_other_ids_are_refused_with_the_reason(ids, message):
    with pytest.raises(IdError, match=message):
        parse_ids(ids)


@given(
    st.lists(st.text() | st.integers() | st.none() | st.binary() | st.booleans(), max_size=3)
)
def test_anything_gives_a_plain_file_name_or_an_id_error(ids):
    try:
        name = submission_name(ids)
    except IdError:
        return
    assert set(name) <= set(string.ascii_uppercase + string.digits + "_")


@given(st.text("0123456789", min_size=1, max_size=8))
def test_exactly_one_last_digit_fits_the_others(digits):
    fitting = [digit for digit in string.digits if has_check_digit(digits + digit)]
    assert len(fitting) == 1
    assert has_check_digit(f"{digits}{fitting[0]}".zfill(9))


@given(st.text("0123456789", min_size=9, max_size=9), st.data())
def test_a_mistyped_digit_does_not_fit(student_id, data):
    place = data.draw(st.integers(0, 8))
    other = data.draw(st.sampled_from(string.digits.replace(student_id[place], "")))
    mistyped = student_id[:place] + other + student_id[place + 1 :]
    assert not (has_check_digit(student_id) and has_check_digit(mistyped))


@pytest.mark.parametrize(
    ("student_id", "fits"),
    [
        ("123456782", True),
        ("123456789", False),
        ("000000018", True),
        ("18", True),
        ("a123456", True),
    ],
)
def test_the_check_digit_of_known_ids(student_id, fits):
    assert has_check_digit(student_id) == fits


# The cell of the notebook that holds them. ----------------------------------------------------

literals = st.lists(student_ids | st.text(max_size=12), max_size=3).map(repr)
sources = st.text() | st.builds("{}STUDENT_IDS = {}{}".format, st.text(), literals, st.text())


@given(sources, st.lists(student_ids, min_size=1, max_size=2, unique_by=int) | st.just([]))
@example("STUDENT_IDS = " + "(" * 300 + ")" * 300, [])
@example("STUDENT_IDS = " + "-" * 20_000 + "1", [])
@example("x = 1\rSTUDENT_IDS = ['ID1']\r\n# end", ["12345"])
@example("\f\nSTUDENT_IDS = ['ID1']", ["12345"])
@example("\ufeffSTUDENT_IDS = ['ID1']", ["12345"])
@example("STUDENT_IDS = ['\ud800']", [])
@example("STUDENT_IDS = ['ID1']\x00", [])
def test_any_cell_gives_ids_or_an_id_error_and_then_holds_them(source, ids):
    notebook = new_notebook(cells=[new_code_cell(source, metadata={"tags": ["ids"]})])
    try:
        chosen = decide_ids(notebook, ids)
    except IdError:
        assert notebook.cells[0].source == source
        return
    assert chosen == (tuple(ids) or chosen)
    assert decide_ids(notebook, []) == chosen
