import json

from deepmat.inference.logs import LOG, log_place, merge_logs
from deepmat.runtime.sharing import Engine


def lines(*names):
    return "".join(json.dumps({"name": name}) + "\n" for name in names)


def test_parts_become_one_log_in_the_order_of_the_pictures(tmp_path):
    (tmp_path / LOG).write_text(lines("old"))
    (tmp_path / "log-0.jsonl").write_text(lines("a", "c") + '{"name": "e')  # a kill cut it short
    (tmp_path / "log-1.jsonl").write_text(lines("d", "left", "b"))
    merge_logs(tmp_path, "abcde")
    assert (tmp_path / LOG).read_text() == lines("old", "left", "a", "b", "c", "d")
    assert [path.name for path in tmp_path.iterdir()] == [LOG]
    merge_logs(tmp_path / "none", "abc")


def test_a_kill_between_log_and_parts_doubles_no_line(tmp_path):
    (tmp_path / "log-0.jsonl").write_text(lines("a", "b"))
    (tmp_path / LOG).write_text(lines("a", "b"))
    merge_logs(tmp_path, "ab")
    assert (tmp_path / LOG).read_text() == lines("a", "b")


def test_one_process_writes_the_log_itself(tmp_path, monkeypatch):
    assert log_place(tmp_path, Engine()).name == LOG
    assert log_place(tmp_path, Engine("ray")).name == "log-0.jsonl"
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    assert log_place(tmp_path, Engine()).name == "log-2.jsonl"
