"""app.http.route_table: the paths that are known, below a proxy's prefix or not."""

import pytest

from app.http.route_table import RouteTable
from app.http.routes import predict
from app.http.v2 import infer
from app.http.watch import health

TABLE = RouteTable.of(work=[predict.router], other=[health.router], root_path="/neumo")


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/predict", "/predict"),
        ("/neumo/predict", "/predict"),
        ("/neumo/neumo/predict", "/neumo/predict"),
        ("/neumo", "/neumo"),
        ("/neumo/", "/"),
        ("/neumopredict", "/neumopredict"),
        ("/other/neumo/predict", "/other/neumo/predict"),
    ],
)
def test_a_path_is_known_by_what_stands_behind_the_root_path(path: str, own: str) -> None:
    assert TABLE.own_path(path) == own


def test_without_a_root_path_every_path_is_its_own() -> None:
    table = RouteTable.of(work=[predict.router], other=[])
    assert [table.own_path(path) for path in ("/predict", "/", "*")] == ["/predict", "/", "*"]
    assert table.work_targets() == {
        b"/predict": "/predict", b"/predict/batch": "/predict/batch"
    }  # fmt: skip


def test_work_is_known_in_a_request_line_with_the_root_path_and_without() -> None:
    assert TABLE.work_targets() == {
        b"/predict": "/predict", b"/predict/batch": "/predict/batch",
        b"/neumo/predict": "/predict", b"/neumo/predict/batch": "/predict/batch",
    }  # fmt: skip


def test_work_whose_path_holds_a_parameter_is_known_by_its_declared_path_alone() -> None:
    table = RouteTable.of(work=[infer.router], other=[])
    assert table.work_targets() == {}
    assert table.work_paths == set(infer.INFER_PATHS)
    assert table.declared_path("/v2/models/any/infer") == "/v2/models/{model_name}/infer"
    assert table.declared_path("/v2/models/a/b/infer") is None
