import pytest

from r3d_keras.errors import UserError
from r3d_keras.files import check_output_file, make_folder, whole_file
from r3d_keras.training.model_dir import remove_partial_files


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    """As a runner of Beam may have them: one shard twice, in processes of one number on two hosts."""
    path = tmp_path / "shard"
    with whole_file(path) as slow, open(slow, "wb") as half:
        half.write(b"ha")
        half.flush()
        with whole_file(path) as quick:
            quick.write_bytes(b"whole")
        assert path.read_bytes() == b"whole"
        half.write(b"lf")
    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_half_written_is_found_by_those_who_clean_up(tmp_path):
    begun = whole_file(tmp_path / "step-000000004.npz")
    begun.__enter__().write_bytes(b"half")
    assert len(list(tmp_path.iterdir())) == 1
    remove_partial_files(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_files_is_told_with_the_reason_of_the_system():
    """Here /sys, where no user may make one, the superuser included; access(2) says that this one may."""
    reason = "(Permission denied|Read-only file system)"
    with pytest.raises(UserError, match=f"^cannot write html=/sys/a.html: {reason}$"):
        check_output_file("/sys/a.html", "html", (".html",))
    with pytest.raises(UserError, match=f"^cannot write to timeline=/sys: {reason}$"):
        make_folder("/sys", "timeline")
