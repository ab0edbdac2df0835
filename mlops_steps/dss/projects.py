"""Reads a project on the Design node. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from mlops_steps.dss.code_envs import code_env_uses
from mlops_steps.dss.facts import ProjectFacts, Recipe, Scenario
from mlops_steps.dss.session import Dss, expect
from mlops_steps.errors import Refusal
from mlops_steps.system.parallel import gather
from mlops_steps.system.waiting import Deadline

T = TypeVar("T")

# Files of the library that hold code.
_LIBRARY_SUFFIXES = (".py", ".r", ".sql", ".sh")


@dataclass(frozen=True)
class ScenarioFilter:
    """Which scenarios count: ``is_test(id, marked)`` says so."""

    is_test: Callable[[str, bool], bool]
    patterns: tuple[str, ...]
    smoke_scenario: str


def list_keys(dss: Dss) -> list[str]:
    """The keys of the projects that this key sees, sorted. Raises :class:`NodeError`."""
    with dss.asking("list the projects"):
        return sorted(_text(key, "a project key") for key in expect(dss.client.list_project_keys(), list, "the list"))


def read(dss: Dss, key: str, scenarios: ScenarioFilter, deadline: Deadline) -> ProjectFacts:
    """All that the rules look at, asked for side by side. Raises :class:`NodeError`."""
    reader = _Reader(dss, key, deadline)
    reader.check_project()
    return reader.facts(scenarios)


class _Reader:
    """Reads one project; each question carries the deadline, because limits belong to a thread."""

    def __init__(self, dss: Dss, key: str, deadline: Deadline) -> None:
        self.dss = dss
        self.key = key
        self.deadline = deadline
        self.project = dss.client.get_project(key)

    def ask(self, what: str, question: Callable[[], T]) -> T:
        self.deadline.check(f"{self.dss}: read project {self.key}")
        with self.dss.within(self.deadline), self.dss.asking(what):
            return question()

    def check_project(self) -> None:
        """Asked first and alone, so that a wrong key of the project is said once and clearly."""
        self.ask(f"read project {self.key}", lambda: expect(self.project.get_summary(), dict, "the summary"))

    def facts(self, scenario_filter: ScenarioFilter) -> ProjectFacts:
        lists: list[Callable[[], Any]] = [
            self.recipe_names,
            self.scenario_items,
            self.library_files,
            self.datasets,
            self.saved_models,
            self.managed_folders,
            self.code_envs,
            self.default_envs,
        ]
        names, scenario_items, files, datasets, models, folders, code_envs, defaults = gather(lists)
        questions: list[Callable[[], Any]] = [
            *(partial(self.recipe, name) for name in names),
            *(partial(self.scenario, item, scenario_filter) for item in scenario_items),
            *(partial(self.text, path, file) for path, file in files.items()),
        ]
        answers = gather(questions)
        recipes = [answer for answer in answers if isinstance(answer, Recipe)]
        scenarios = [answer for answer in answers if isinstance(answer, Scenario)]
        texts = [answer for answer in answers if isinstance(answer, str)]
        references = {reference for recipe in recipes for reference in (*recipe.inputs, *recipe.outputs)}
        present = {*_names(datasets, "name"), *_names(models, "id"), *_names(folders, "id")}
        found, unseen = self.look_further(references - present)
        return ProjectFacts(
            key=self.key,
            recipes=tuple(recipes),
            library=dict(zip(files, texts, strict=True)),
            scenarios=tuple(scenarios),
            datasets=tuple(datasets),
            saved_models=tuple(models),
            flow_objects=frozenset(present | found),
            unseen=unseen,
            code_envs=code_envs,
            code_env_uses=tuple(code_env_uses(self.key, defaults, recipes, scenarios)),
            test_patterns=scenario_filter.patterns,
            smoke_scenario=scenario_filter.smoke_scenario,
        )

    # ---- lists

    def recipe_names(self) -> list[str]:
        def question() -> list[str]:
            return [_text(item.name, "the name of a recipe") for item in self.project.list_recipes()]

        return sorted(self.ask(f"list the recipes of project {self.key}", question))

    def scenario_items(self) -> list[Mapping[str, Any]]:
        def question() -> list[Mapping[str, Any]]:
            items = [expect(item._data, dict, "a scenario") for item in self.project.list_scenarios()]
            return sorted(items, key=lambda item: _text(item["id"], "the id of a scenario"))

        return self.ask(f"list the scenarios of project {self.key}", question)

    def datasets(self) -> list[Mapping[str, Any]]:
        def question() -> list[Mapping[str, Any]]:
            return [expect(item._data, dict, "a dataset") for item in self.project.list_datasets()]

        return self.ask(f"list the datasets of project {self.key}", question)

    def saved_models(self) -> list[Mapping[str, Any]]:
        return self.ask(
            f"list the saved models of project {self.key}", lambda: _dicts(self.project.list_saved_models())
        )

    def managed_folders(self) -> list[Mapping[str, Any]]:
        what = f"list the managed folders of project {self.key}"
        return self.ask(what, lambda: _dicts(self.project.list_managed_folders()))

    def code_envs(self) -> frozenset[tuple[str, str]] | None:
        """``None`` when this key may not list them."""

        def question() -> frozenset[tuple[str, str]]:
            items = _dicts(self.dss.client.list_code_envs())
            return frozenset((_text(item["envLang"], "a language"), _text(item["envName"], "a name")) for item in items)

        try:
            return self.ask("list the code environments", question)
        except Refusal as refusal:
            if refusal.status in (401, 403):
                return None
            raise

    def default_envs(self) -> dict[str, str]:
        """The project's default code environments by language; none when this key may not read the settings."""

        def question() -> dict[str, str]:
            settings = expect(self.project.get_settings().get_raw().get("settings") or {}, dict, "the settings")
            defaults = expect(settings.get("codeEnvs") or {}, dict, "codeEnvs")
            return {
                language.upper(): _text(selection["envName"], "the code environment")
                for language in ("python", "r")
                if (selection := expect(defaults.get(language) or {}, dict, language)).get("mode") == "EXPLICIT_ENV"
            }

        try:
            return self.ask(f"read the settings of project {self.key}", question)
        except Refusal as refusal:
            if refusal.status in (401, 403):
                return {}
            raise

    def library_files(self) -> dict[str, Any]:
        """The library's files of code, by their path without a leading slash."""

        def question() -> dict[str, Any]:
            files = {_text(file.path, "a path").lstrip("/"): file for file in _files(self.project.get_library().root)}
            return {path: files[path] for path in sorted(files) if path.lower().endswith(_LIBRARY_SUFFIXES)}

        return self.ask(f"list the library of project {self.key}", question)

    # ---- single objects

    def recipe(self, name: str) -> Recipe:
        def question() -> Recipe:
            settings = self.project.get_recipe(_segment(name)).get_settings()
            definition = expect(settings.get_recipe_raw_definition(), dict, "the recipe")
            recipe = Recipe(
                name=name,
                type=_text(definition["type"], "the type of the recipe"),
                inputs=tuple(_references(definition.get("inputs"))),
                outputs=tuple(_references(definition.get("outputs"))),
                definition=definition,
            )
            if recipe.suffix is None:
                return recipe
            code = settings.get_payload()
            return Recipe(**{**vars(recipe), "code": "" if code is None else expect(code, str, "the code")})

        return self.ask(f"read recipe {name}", question)

    def scenario(self, item: Mapping[str, Any], scenarios: ScenarioFilter) -> Scenario:
        identifier = str(item["id"])
        name = str(item.get("name") or identifier)
        is_test = scenarios.is_test(identifier, bool(item.get("markedAsTest")))
        # One request each: a project may have thousands that nobody runs any more.
        if not is_test and identifier != scenarios.smoke_scenario and not item.get("active", True):
            return Scenario(identifier, name, is_test)

        def question() -> Scenario:
            settings = self.project.get_scenario(_segment(identifier)).get_settings()
            definition = expect(settings.get_raw(), dict, "the scenario")
            marked = bool(item.get("markedAsTest") or definition.get("markedAsTest"))
            is_test = scenarios.is_test(identifier, marked)
            return Scenario(identifier, name, is_test, definition)

        return self.ask(f"read scenario {identifier}", question)

    def text(self, path: str, file: Any) -> str:
        return self.ask(f"read library file {path}", lambda: _text(file.read(), "the text"))

    # ---- what the flow refers to and the lists above do not hold

    def look_further(self, references: set[str]) -> tuple[set[str], dict[str, str]]:
        """Those of the references that exist elsewhere, and those that cannot be looked up with the reason."""
        if not references:
            return set(), {}
        found = references & self.rarer_objects()
        unseen: dict[str, str] = {}
        for project in sorted({name.partition(".")[0] for name in references - found if "." in name}):
            foreign = {name for name in references if name.startswith(f"{project}.")}
            try:
                present = _Reader(self.dss, _segment(project), self.deadline).own_objects()
            except Refusal as refusal:
                if refusal.status in (401, 403):
                    unseen.update(dict.fromkeys(foreign, f"this key may not see project {project}"))
                elif refusal.status != 404:
                    raise
            else:
                found |= {name for name in foreign if name.partition(".")[2] in present}
        return found, unseen

    def own_objects(self) -> set[str]:
        datasets, models, folders = gather([self.datasets, self.saved_models, self.managed_folders])
        return {*_names(datasets, "name"), *_names(models, "id"), *_names(folders, "id")}

    def rarer_objects(self) -> set[str]:
        """Streaming endpoints, evaluation stores, knowledge banks; nothing where the node has no such objects."""
        questions: dict[str, Callable[[], set[str]]] = {
            "list the streaming endpoints": lambda: {str(item.id) for item in self.project.list_streaming_endpoints()},
            "list the evaluation stores": lambda: {
                str(item.id) for item in self.project.list_model_evaluation_stores()
            },
            "list the knowledge banks": lambda: {str(item.id) for item in self.project.list_knowledge_banks()},
        }
        found: set[str] = set()
        for what, question in questions.items():
            try:
                found |= self.ask(f"{what} of project {self.key}", question)
            except Refusal:
                continue
        return found


def _text(value: object, what: str) -> str:
    return expect(value, str, what)


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [expect(item, dict, "an item") for item in expect(value, list, "the list")]


def _names(items: list[Mapping[str, Any]], field: str) -> set[str]:
    return {str(item[field]) for item in items if field in item}


def _segment(name: str) -> str:
    """The name as a part of a path. The client puts names into its requests as they are."""
    if name in (".", "..") or not name:
        raise ValueError(f"the name {name!r}")
    return quote(name, safe="")


def _files(folder: Any) -> Iterator[Any]:
    for child in folder.list():
        if child.children is None:
            yield child
        else:
            yield from _files(child)


def _references(roles: object) -> Iterator[str]:
    for role in expect(roles or {}, dict, "the roles").values():
        for item in expect(role, dict, "a role").get("items") or []:
            yield _text(item["ref"], "a reference")
