"""``mlops-steps jenkins``: set up a controller, run a job, check a Jenkinsfile."""

from __future__ import annotations

import click

from mlops_steps.commands.jenkins_lint import lint
from mlops_steps.commands.jenkins_run import run
from mlops_steps.commands.jenkins_setup import setup


@click.group()
def jenkins() -> None:
    """Set up a Jenkins controller, run a job there, check a Jenkinsfile.

    The controller is named by JENKINS_URL, the user by JENKINS_USER, and the user's API token by JENKINS_API_TOKEN or
    the file that JENKINS_API_TOKEN_FILE names. Exit codes: 0 done, 1 the build or the check failed, 2 usage or
    configuration, 3 the controller refused or was not reached, 129, 130 and 143 interrupted.
    """


for command in (setup, run, lint):
    jenkins.add_command(command)
