import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw1lib.submission.names import IdError, parse_ids, submission_name

student_ids = st.text("0123456789", min_size=5, max_size=9)


@given(st.lists(student_ids, min_size=1, max_size=2, unique=True))
def test_ids_of_digits_name_the_submission_in_their_order(ids):
    assert parse_ids(ids) == tuple(ids)
    assert submission_name(ids) == "HW1_" + "_".join(ids)


@pytest.mark.parametrize("ids", [["ID1"], ["ID1", "ID2"]])
def test_placeholders_are_allowed_until_the_students_set_theirs(ids):
    assert submission_name(ids) == "HW1_" + "_".join(ids)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "0 IDs given"),
        (["12345", "23456", "34567"], "3 IDs given"),
        (["1234"], "ID 1 is '1234'"),
        (["1234567890"], "ID 1 is '1234567890'"),
        (["123456789", "12345678x"], "ID 2 is '12345678x'"),
        (["123456789\n"], "5 to 9 digits"),
        (["١٢٣٤٥٦٧٨٩"], "5 to 9 digits"),
        (["../../etc"], "5 to 9 digits"),
        ([123456789], "ID 1 is 123456789"),
        (["123456789", "123456789"], "both IDs are 123456789"),
        (["123456789", "ID2"], "ID 2 is still the placeholder"),
        (["ID2", "ID1"], "ID 1 is still the placeholder"),
        (["ID1", "ID1"], "ID 1 is still the placeholder"),
    ],
)
def test_other_ids_are_refused_with_the_reason(ids, message):
    with pytest.raises(IdError, match=message):
        parse_ids(ids)


@given(st.lists(st.text(), max_size=3))
def test_any_text_gives_a_plain_file_name_or_an_id_error(ids):
    try:
        name = submission_name(ids)
    except IdError:
        return
    assert set(name) <= set(string.ascii_uppercase + string.digits + "_")
