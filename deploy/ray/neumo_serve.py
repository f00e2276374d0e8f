"""Neumo on Ray Serve: a replica is the application of `neumo serve`, behind Ray's proxy.

    serve run --app-dir deploy/ray deploy/ray/neumo.yaml        (docs/ray.md)

Settings are `NEUMO_*` variables of the replicas (`runtime_env` in neumo.yaml). Changing one, the
model's name too, starts new replicas before old ones end.
"""

from ray import serve
from starlette.types import ASGIApp

from app.main import create_app
from app.service.logs import configure_logging
from app.service.service import Phase
from app.settings.settings import Settings


def build() -> ASGIApp:
    """Return a replica's application, which loads its model before it is asked anything."""
    settings = Settings()
    if "host" not in settings.model_fields_set:
        # The proxy listens, and where it does is not known here: without NEUMO_HOST keys are asked.
        settings = settings.model_copy(update={"host": "0.0.0.0"})  # noqa: S104 - nothing binds it
    configure_logging(settings.log_level)
    return create_app(settings, load_before_serving=True)


@serve.deployment(max_constructor_retry_count=3)  # it would fail the same way again
@serve.ingress(build)
class Neumo:
    """A replica."""

    def check_health(self) -> None:
        """Have Serve replace a replica whose model can't be served."""
        if self.app.state.service.phase is Phase.FAILED:
            raise RuntimeError("the model can't be served")


app = Neumo.bind()
