"""The rehearsal of releases of the API service `churn`, each under a fault of the API Deployer or of an API node."""

from __future__ import annotations

import shutil
import time

from mlops_steps.sandbox.node.errors import DssError
from mlops_steps.sandbox.play.rehearsal import MARK, USUAL_SMOKE, Rehearsal, properties_of
from mlops_steps.sandbox.services.api_node.model import NodeServices

SERVICE, INFRA = "churn", "api-prod"


class ServiceRehearsal(Rehearsal):
    """Releases of a version of the API service: how they are prepared, and how it is known what answers."""

    plan = "rehearsal_api.yml"
    config = (
        MARK
        + """\
project: {project}
http: {{read_timeout: {read}, retries: 3, max_wait: 8s}}
api:
  service: churn
  stages: {{dev: {{infra: api-dev}}, prod: {{infra: api-prod}}}}
  health_timeout: {read}
  release: {{tests: off, timeout: {update}, verify_timeout: {smoke}, rollback_timeout: {restore}}}
"""
    )
    release = ("api-release", "--stage", "prod", "--force", "a rehearsal")
    recover = ("api-recover", "--stage", "prod")
    rollback = ("api-rollback", "--stage", "prod", "--to")
    word, place = "version", INFRA

    def set_the_stage(self) -> None:
        """One version answers in production; another one answers on the stage before."""
        self.must("api-package", build=1)
        self.must("api-deploy", "--stage", "dev")
        began = time.monotonic()
        self.must("api-release", "--stage", "prod")
        self.set_patience(max(1.0, (time.monotonic() - began) / (2 * USUAL_SMOKE)))
        self.old = self._live()
        self.must("api-package", build=2)
        self.must("api-deploy", "--stage", "dev")
        shutil.copy(self.record, self.kept_record)
        self.new = properties_of(self.out / "reports" / "mlops-api-package.xml").get("version", "")
        self.say_ready()

    def _live(self) -> str:
        """The version that every API node has in its mapping, alone; else what each of them has."""
        found = []
        for node in self.sandbox.api_infrastructures()[INFRA][0]:
            try:
                record = NodeServices(node).get(SERVICE)
            except DssError:
                found.append("nothing")
                continue
            mapping = record["mapping"] or {}
            found.append(str(mapping.get("generation") or "several versions") if record["enabled"] else "nothing")
        return found[0] if len(set(found)) == 1 else ", ".join(found)
