"""Write the alerts of deploy/prometheus for the Prometheus Operator: `python -m tools.alert_rules`.

kustomize can't put one file into another.
"""

import textwrap
from pathlib import Path
from typing import Final

_DEPLOY: Final = Path(__file__).parents[1] / "deploy"
ALERTS: Final = _DEPLOY / "prometheus" / "alerts.yml"
RULES: Final = _DEPLOY / "kubernetes" / "components" / "monitoring" / "rules.yaml"
_HEAD: Final = """\
# Written by `make reference` from deploy/prometheus/alerts.yml; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: neumo
  namespace: neumo
spec:
"""


def render_rules() -> str:
    """Return a PrometheusRule of the same groups."""
    alerts = ALERTS.read_text(encoding="utf-8")
    return _HEAD + textwrap.indent(alerts[alerts.index("groups:\n") :], "  ")


if __name__ == "__main__":
    RULES.write_text(render_rules(), encoding="utf-8")
