from r3d_keras.files import whole_file
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
