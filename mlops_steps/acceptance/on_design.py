"""What the steps assume of the Design node, and of what is published from it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlops_steps.acceptance.model import Assumptions, Differs, NotTried
from mlops_steps.acceptance.world import FIRST, SECOND, World
from mlops_steps.dss import bundles, claims, discovery, probe, projects, seals
from mlops_steps.dss.claims import Claim
from mlops_steps.dss.deployers import PROJECTS
from mlops_steps.dss.projects import ScenarioFilter
from mlops_steps.errors import Refusal
from mlops_steps.system.waiting import Deadline

DESIGN: Assumptions[World] = Assumptions()

_TYPES = {"design": ("DESIGN",), "deployer": ("DEPLOYER", "DESIGN")}


@DESIGN.that("instance", "Each node says its type, and which version of DSS it is.", probe.probe)
def _instance(world: World) -> str:
    said = []
    for node in world.site.all_nodes:
        found = probe.probe(node)
        if found.trouble is not None:
            raise Differs(f"{node}: {found.problem}")
        if found.node_type not in _TYPES.get(node.name, ("AUTOMATION",)):
            raise Differs(f"{node}: its type is {found.node_type}")
        if not found.version:
            raise Differs(f"{node}: it does not name its version")
        said.append(f"{node.name}: {found.node_type}, DSS {found.version}")
    return "; ".join(said)


@DESIGN.that("unknown-project", "A project that does not exist is answered with 404.", probe.project_exists)
def _unknown_project(world: World) -> str:
    if probe.project_exists(world.site.design, f"{world.key}_NOT"):
        raise Differs("the node describes a project that does not exist")
    return "404"


@DESIGN.that("project-list", "The list of projects holds the keys of those that the key sees.", projects.list_keys)
def _project_list(world: World) -> str:
    found = projects.list_keys(world.site.design)
    if world.key not in found:
        raise Differs("the new project is not in the list")
    return "the new project is in the list"


@DESIGN.that(
    "project-content",
    "Recipes with their code, inputs and outputs, and scenarios with their steps, can be read.",
    projects.read,
)
def _project_content(world: World) -> str:
    names = tuple(world.scenarios.values())
    chosen = ScenarioFilter(lambda _id, marked: marked, names, names[0])
    facts = projects.read(world.site.design, world.key, chosen, Deadline(world.patience))
    if {scenario.id for scenario in facts.scenarios} != set(names):
        raise Differs(f"scenarios: {', '.join(scenario.id for scenario in facts.scenarios) or 'none'}")
    if not all(scenario.is_test and scenario.definition for scenario in facts.scenarios):
        raise Differs("a scenario that is marked as test is not, or has no definition")
    if "recipes" in world.lacking:
        return f"{len(names)} scenarios; without recipes: {world.lacking['recipes']}"
    for spec in world.content["recipes"]:
        recipe = next((one for one in facts.recipes if one.name == spec["name"]), None)
        if recipe is None:
            raise Differs(f"recipe {spec['name']} is not in the list")
        if (recipe.inputs, recipe.outputs) != ((spec["input"],), (spec["output"],)):
            raise Differs(f"recipe {recipe.name} reads {recipe.inputs} and writes {recipe.outputs}")
        if (recipe.code or "").strip() != str(spec["code"]).strip():
            raise Differs(f"the code of recipe {recipe.name} is not what was saved")
    return f"{len(facts.recipes)} recipes, {len(names)} scenarios"


@DESIGN.that("saved-model", "A saved model is in the list of models, with its id.", projects.read)
def _saved_model(world: World) -> str:
    if "model" in world.lacking:
        raise NotTried(f"the node cannot make a model without training it: {world.lacking['model']}")
    names = tuple(world.scenarios.values())
    facts = projects.read(
        world.site.design, world.key, ScenarioFilter(lambda _id, _marked: False, (), names[0]), Deadline(world.patience)
    )
    found = [model for model in facts.saved_models if model.get("name") == world.content["model"]]
    if not found or not found[0].get("id"):
        raise Differs(f"{len(facts.saved_models)} models, none of them the one that was made")
    return "the model is in the list"


@DESIGN.that("git-log", "The project's Git log names its commits with an id and a time.", bundles.project_commits)
def _git_log(world: World) -> str:
    commits = bundles.project_commits(world.site.design, world.key)
    if not commits:
        raise Differs("it names no commit")
    if not commits[0]["id"]:
        raise Differs("a commit has no id under the names that are known (commit, commitId)")
    if not commits[0]["time"]:
        raise Differs("a commit has no time in a form that is known (ISO text with offset, milliseconds)")
    times = [commit["time"] for commit in commits]
    if times != sorted(times, reverse=True):
        raise Differs("the newest commit is not the first")
    return f"{len(commits)} commits, the newest first"


@DESIGN.that(
    "export",
    "A bundle whose export was answered is in the list of exported bundles.",
    bundles.export,
    bundles.exported_bundles,
)
def _export(world: World) -> str:
    _export_one(world, FIRST)
    found = bundles.exported_bundles(world.site.design, world.key)
    if FIRST not in found:
        raise Differs("the bundle is not in the list")
    return "the bundle is in the list"


def _export_one(world: World, bundle: str) -> None:
    limit = Deadline(world.site.settings.package.timeout)
    bundles.export(world.site.design, world.key, bundle, f"notes of {bundle}", limit)


@DESIGN.that("export-once", "A second export under the same id is refused.", bundles.export, needs=("export",))
def _export_once(world: World) -> str:
    design = world.site.design
    try:
        with design.asking("export the bundle a second time"):
            design.client.get_project(world.key).export_bundle(FIRST, release_notes=f"notes of {FIRST}")
    except Refusal as error:
        if error.status >= 400:
            return f"refused: {error.message}"
    raise Differs("a second export under the same id was accepted")


@DESIGN.that(
    "release-notes",
    "The list of exported bundles has their release notes.",
    bundles.all_release_notes,
    needs=("export",),
)
def _release_notes(world: World) -> str:
    if bundles.release_notes(world.site.design, world.key, FIRST) != f"notes of {FIRST}":
        raise Differs("the release notes are not what was given with the export")
    return "as they were given"


@DESIGN.that(
    "publish",
    "A bundle that was published is in the list of the Project Deployer.",
    bundles.publish,
    bundles.published_bundles,
    needs=("export",),
)
def _publish(world: World) -> str:
    site, limit = world.site, Deadline(world.site.settings.package.timeout)
    before = bundles.published_bundles(site.deployer, world.key)
    if before:
        raise Differs(f"before it is published, the deployer lists {len(before)} bundles")
    bundles.publish(site.design, site.deployer, world.key, FIRST, limit)
    found = bundles.published_bundles(site.deployer, world.key)
    if FIRST not in found:
        raise Differs("the bundle is not in the list")
    _export_one(world, SECOND)
    bundles.publish(site.design, site.deployer, world.key, SECOND, limit)
    return "the bundle is in the list"


@DESIGN.that(
    "download",
    "The Project Deployer gives out the archive of a bundle, the same each time, with the manifest of a bundle.",
    bundles.download,
    bundles.check_archive,
    needs=("publish",),
)
def _download(world: World) -> str:
    deployer, limit = world.site.deployer, Deadline(world.site.settings.package.timeout)
    with tempfile.TemporaryDirectory(prefix="mlops-accept-") as folder:
        path = Path(folder, "bundle.zip")
        first = bundles.download(deployer, world.key, FIRST, limit, path)
        manifest = bundles.check_archive(path, world.key, FIRST)
    if bundles.download(deployer, world.key, FIRST, limit) != first:
        raise Differs("two downloads of one bundle differ")
    when = "says when it was exported" if bundles.exported_on(manifest) else "does not say when it was exported"
    return f"{first.size} bytes, twice the same; its manifest {when}"


@DESIGN.that(
    "infrastructure",
    "The list of infrastructures has the one of the stage, and says whether the key may deploy to it.",
    discovery.infrastructures,
)
def _infrastructure(world: World) -> str:
    found = {infra.id: infra for infra in discovery.infrastructures(world.site.deployer)}
    if world.site.infra not in found:
        raise Differs(f"infrastructure {world.site.infra} is not in the list")
    may = found[world.site.infra].may_deploy
    if may is None:
        raise Differs("it does not say whether the key may deploy (canDeploy)")
    if not may:
        raise NotTried(f"the key may not deploy to {world.site.infra}")
    return "in the list, and the key may deploy to it"


@DESIGN.that(
    "claim",
    "Tags of the published project are kept: with one, a release says that it is at work.",
    claims.write,
    claims.read,
    claims.remove,
    needs=("publish",),
)
def _claim(world: World) -> str:
    deployer, infra = world.site.deployer, world.site.infra
    claim = Claim(infra, "accept", "accept", "mlops-steps accept", "", 1).as_kept()
    claims.write(deployer, world.key, [claim], lambda _others: None)
    if claim not in claims.read(deployer, world.key, [infra]):
        raise Differs("a tag that was saved is not there")
    claims.remove(deployer, world.key, [claim], Deadline(world.patience))
    return "written, read back, taken away"


@DESIGN.that(
    "seal-tag",
    "A tag of the published project may have a thousand characters: a seal for the deployer's hook has.",
    seals.write,
    needs=("claim",),
)
def _seal_tag(world: World) -> str:
    deployer, prefix = world.site.deployer, "mlops-steps-accept|"
    tag = f"{prefix}{world.site.infra}|{FIRST}|".ljust(1000, "x")
    seals.write(deployer, world.key, prefix, [tag])
    with deployer.asking("read the tags"):
        raw = PROJECTS.published(deployer.client, world.key).get_settings().get_raw()
    if tag not in (raw.get("tags") or []):
        raise Differs("a tag of 1000 characters that was saved is not there")
    return "kept"
