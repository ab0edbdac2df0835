"""Activating a bundle on an Automation node: the old one or the new one is live, never a mixture."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, conflict
from mlops_steps.sandbox.node.messages import message, report
from mlops_steps.sandbox.node.node import Node
from mlops_steps.sandbox.node.store import now_ms, read_json, sync_dir, write_json
from mlops_steps.sandbox.services.bundles.archive import extract
from mlops_steps.sandbox.services.bundles.exchange import replace_folder, restore_folder
from mlops_steps.sandbox.services.bundles.export import DATA_FOLDERS, LOCAL_VARIABLES
from mlops_steps.sandbox.services.bundles.model import imported
from mlops_steps.sandbox.services.bundles.needs import missing_on, needs_of_unpacked, remapped_names, tells_needs
from mlops_steps.sandbox.services.projects.model import ACTIVE_FILE, Project, active_bundle_id
from mlops_steps.sandbox.services.scenarios.service import stop_all_runs

_REPLACED = "replaced-"
_STAGED = "staged-"


def recover(node: Node) -> None:
    """Mends what a crash left: brings a replaced project back when there is no other, and clears the scratch space."""
    for path in list(node.tmp_dir.iterdir()):
        if path.name.startswith(_REPLACED):
            restore_folder(node.project_dir(path.name.removeprefix(_REPLACED)), path)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def preload(node: Node, key: str, bundle_id: str) -> dict[str, Any]:
    """Tells what the bundle lacks on this node, as a report; changes nothing. Raises 404."""
    project = Project.load(node, key)
    bundle = imported(node, key).open(bundle_id)
    with tempfile.TemporaryDirectory(prefix=_STAGED, dir=node.tmp_dir) as folder:
        extract(bundle, Path(folder), tells_needs)
        missing = missing_on(node, needs_of_unpacked(Path(folder)), _remapping(project))
    return report(
        [
            message(
                "ERROR",
                "ERR_BUNDLE_ACTIVATE_MISSING_DEPENDENCY",
                "Missing on the node",
                f"Bundle {bundle_id} needs {phrase}, which does not exist on node {node.id}",
            )
            for phrase in missing
        ]
    )


def activate(node: Node, key: str, bundle_id: str, scenarios: Mapping[str, bool], user: str) -> dict[str, Any]:
    """Makes an imported bundle the live one and returns a report of warnings.

    The project's configuration and uploads become those of the bundle; the node keeps its local variables, its
    remapping, its managed data, and which scenarios are active, except for those that ``scenarios`` names. Scenarios
    that run are aborted. Raises 404, and 409 when the node lacks what the bundle needs: then everything stays as it
    was.
    """
    project = Project.load(node, key)
    bundle = imported(node, key).open(bundle_id)
    staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=node.tmp_dir))
    try:
        extract(bundle, staged)
        _refuse_missing(project, staged, bundle_id)
        stop_all_runs(project)
        with node.lock(key):
            warnings = _adapt(project, staged, scenarios)
            state = {"bundleId": bundle_id, "activatedOn": now_ms(), "activatedBy": user}
            write_json(staged / ACTIVE_FILE, state)
            take_data(project.data_dir, staged)
            _go_live(node, key, staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return {**report(warnings), "bundleId": bundle_id, "neededAMigration": False}


def refuse_active(node: Node, key: str, bundle_id: str) -> None:
    """Raises 409 when this bundle is the live one."""
    if active_bundle_id(node, key) == bundle_id:
        raise conflict(f"bundle {bundle_id} is active in project {key} on node {node.id}: activate another one first")


def _refuse_missing(project: Project, staged: Path, bundle_id: str) -> None:
    node = project.node
    missing = missing_on(node, needs_of_unpacked(staged), _remapping(project))
    if missing:
        live = active_bundle_id(node, project.key)
        raise DssError(
            409,
            "com.dataiku.dip.exceptions.BundleActivationException",
            f"Bundle {bundle_id} of project {project.key} can't be activated on node {node.id}, which lacks "
            f"{', '.join(missing)}. " + (f"Bundle {live} stays active" if live else "No bundle is active"),
        )


def _go_live(node: Node, key: str, staged: Path) -> None:
    place = node.project_dir(key)
    replaced = node.tmp_dir / f"{_REPLACED}{key}"
    shutil.rmtree(replaced, ignore_errors=True)
    replace_folder(staged, place, replaced)
    sync_dir(place.parent)
    shutil.rmtree(replaced, ignore_errors=True)


# ---- what the node keeps


def _remapping(project: Project) -> Mapping[str, Any]:
    settings = project.params.get("bundleContainerSettings") or {}
    remapping = settings.get("remapping") if isinstance(settings, dict) else None
    return remapping if isinstance(remapping, dict) else {}


def _adapt(project: Project, staged: Path, scenarios: Mapping[str, bool]) -> list[dict[str, Any]]:
    config = staged / "project_config"
    (staged / "uploads").mkdir(exist_ok=True)
    _keep_settings(project, config)
    _keep_local_variables(project, config)
    _keep_model_versions(project, staged)
    remap(config, remapped_names(_remapping(project)))
    return _set_active_scenarios(project, config, scenarios)


def _keep_settings(project: Project, config: Path) -> None:
    own = project.params
    params = read_json(config / "params.json", {})
    for name in ("bundleContainerSettings", "disableAutomaticTriggers"):
        if name in own:
            params[name] = own[name]
    params.setdefault("name", project.key)
    write_json(config / "params.json", params)


def _keep_local_variables(project: Project, config: Path) -> None:
    if active_bundle_id(project.node, project.key) is None and not project.variables["local"]:
        return
    write_json(config / LOCAL_VARIABLES, project.variables["local"])


def _keep_model_versions(project: Project, staged: Path) -> None:
    """A model that does not travel in the bundle goes on with the version that is active on this node."""
    for path in (staged / "project_config" / "saved_models").glob("*.json"):
        own = read_json(project.config_dir / "saved_models" / path.name)
        if own and own.get("activeVersion") and not (staged / "saved_models" / path.stem).is_dir():
            write_json(path, {**read_json(path), "activeVersion": own["activeVersion"]})


def _set_active_scenarios(project: Project, config: Path, wanted: Mapping[str, bool]) -> list[dict[str, Any]]:
    known = set()
    for path in sorted((config / "scenarios").glob("*.json")):
        definition = _readable(path)
        if definition is None or definition.get("type") is None:
            continue
        known.add(path.stem)
        own = _readable(project.config_dir / "scenarios" / path.name) or {}
        active = bool(wanted.get(path.stem, own.get("active", False)))
        if definition.get("active", False) is not active:
            write_json(path, {**definition, "active": active})
    return [
        message(
            "WARNING",
            "WARN_BUNDLE_UNKNOWN_SCENARIO",
            "Unknown scenario",
            f"Scenario {name} was to be {'activated' if active else 'deactivated'}, but the bundle has no such one",
        )
        for name, active in wanted.items()
        if name not in known
    ]


def remap(config: Path, renamed: Mapping[str, Mapping[str, str]]) -> None:
    if not any(renamed.values()):
        return
    for folder in ("datasets", "managed_folders", "recipes", "scenarios"):
        for path in (config / folder).glob("*.json"):
            definition = _readable(path)
            if definition is not None:
                write_json(path, _renamed(definition, renamed))
    params = read_json(config / "params.json")
    settings = params.get("settings")
    write_json(config / "params.json", {**params, "settings": _renamed(settings, renamed)})


def _renamed(value: Any, renamed: Mapping[str, Mapping[str, str]]) -> Any:
    if isinstance(value, dict):
        changed = {name: _renamed(inner, renamed) for name, inner in value.items()}
        for field, kind in (("connection", "connections"), ("envName", "codeEnvs")):
            if isinstance(changed.get(field), str):
                changed[field] = renamed[kind].get(changed[field], changed[field])
        return changed
    return [_renamed(inner, renamed) for inner in value] if isinstance(value, list) else value


def _readable(path: Path) -> dict[str, Any] | None:
    """The document; ``None`` when it is missing or damaged: damaged parts of a bundle are kept as they are."""
    try:
        document = read_json(path)
    except DssError:
        return None
    return document if isinstance(document, dict) else None


# ---- data that travels in the bundle


def take_data(data_dir: Path, staged: Path) -> None:
    """Moves the bundle's data to where the node keeps data. Model versions are added beside those that are there."""
    for inside, kept in DATA_FOLDERS.items():
        for source in _folders(staged / inside):
            target = data_dir / kept / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if inside == "saved_models" and target.exists():
                for version in _folders(source / "versions"):
                    _put(version, target / "versions" / version.name)
            else:
                _put(source, target)


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        source.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix="old-data-", dir=source.parents[1]))
    replace_folder(source, target, old / "data")
