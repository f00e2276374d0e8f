"""What a running service logs, and what it never does."""

import json
import socket
import struct

import pytest

from tests.server import Server, multipart, predict


def test_logs_are_json_with_request_id_and_stage_times(server: Server, jpeg: bytes) -> None:
    _, answer = predict(server, jpeg)
    reading = json.loads(answer)
    line = server.line_of(reading["request_id"])
    assert (line["route"], line["method"], line["status"]) == ("/predict", "POST", 200)
    assert line["stages_ms"] == {
        "decode": reading["timing_ms"]["decode"],
        "inference": reading["timing_ms"]["inference"],
    }
    assert line["total_ms"] >= reading["timing_ms"]["total"]


def test_a_batchs_line_holds_the_stage_times_of_all_its_files(server: Server, jpeg: bytes) -> None:
    body, headers = multipart(*[("file", "a.jpg", jpeg)] * 2, ("file", "b", b""))
    answer = json.loads(server.call("POST", "/predict/batch", body, headers)[2])
    times = [result["timing_ms"] for result in answer["results"][:2]]
    assert server.line_of(answer["request_id"])["stages_ms"] == {
        stage: pytest.approx(sum(time[stage] for time in times), abs=0.002)
        for stage in ("decode", "inference")
    }


def test_logs_hold_no_file_name_no_path_and_no_header(server: Server, jpeg: bytes) -> None:
    body, headers = multipart(("file", "DOE^JOHN.jpg", jpeg))
    secrets = {"User-Agent": "DOE^JOHN", "X-Request-ID": "DOE^JOHN", "Cookie": "p=DOE^JOHN"}
    assert server.call("POST", "/predict?name=DOE^JOHN", body, headers | secrets)[0] == 200
    assert server.call("GET", "/patients/DOE^JOHN", headers=secrets)[0] == 404
    assert server.call("POST", "/predict", b"DOE^JOHN", secrets)[0] == 415
    body, headers = multipart(("DOE^JOHN", "DOE^JOHN", jpeg[: len(jpeg) // 2]))
    assert server.call("POST", "/predict", body, headers)[0] == 400
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"DOE^JOHN / HTTP/1.1\r\n\r\n")
        raw.recv(1000)
    assert len(server.lines()) > 5
    assert "DOE" not in server.log_text()


def test_logs_and_metrics_hold_no_age_and_no_view(server: Server, jpeg: bytes) -> None:
    status, _, answer = server.call("POST", "/predict?age_years=87.625&view=lateral", jpeg)
    assert status == 200
    server.line_of(json.loads(answer)["request_id"])
    metrics = server.call("GET", "/metrics")[2].decode()
    for text in (server.log_text(), metrics):
        assert "87.625" not in text
        assert '"lateral"' not in text
    assert json.loads(answer)["subject"] == {"age_years": 87.625, "view": "lateral"}


def test_an_upload_can_not_write_lines_of_its_own_to_the_log(server: Server, jpeg: bytes) -> None:
    tags = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(1000, 2000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1000) + tags + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    before = len(server.lines())
    status, answer = predict(server, jpeg[:2] + segment + jpeg[2:])
    assert status == 200
    server.line_of(json.loads(answer)["request_id"])
    body, headers = multipart(("file", "a.jpg", jpeg))
    headers["Content-Type"] = "multipart/form-data; boundary=another"
    status, _, answer = server.call("POST", "/predict", body, headers)
    assert status == 400
    server.line_of(json.loads(answer)["request_id"])
    assert {line["message"] for line in server.lines()[before:]} == {"request"}


def test_health_and_metrics_calls_are_not_logged(server: Server) -> None:
    before = len(server.lines())
    for path in ("/health/live", "/health/ready", "/health/startup", "/metrics"):
        server.call("GET", path)
    assert len(server.lines()) == before
