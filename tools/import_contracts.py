"""Contracts for import-linter that it does not have itself. setup.cfg names them under ``contract_types``."""

from __future__ import annotations

import re

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class NoCircles(Contract):
    """No module imports itself by way of others. Imports under ``TYPE_CHECKING`` count like any other.

    import-linter's own ``acyclic_siblings`` compares packages; this one compares modules, all of them.
    """

    type_name = "no_circles"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Each circle as the sorted list of its modules."""
        found = circles({module: graph.find_modules_directly_imported_by(module) for module in sorted(graph.modules)})
        return ContractCheck(kept=not found, metadata={"circles": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Prints the modules of each circle."""
        for circle in check.metadata["circles"]:
            output.print_error(f"{len(circle)} modules import each other in a circle:")
            for module in circle:
                output.print_error(f"  {module}")


class RoutesStayHome(Contract):
    """A module of routes (``routes`` or ``…_routes``) is imported by its own service and by what puts them together."""

    type_name = "routes_stay_home"
    services = fields.StringField()
    importers = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002
        """Pairs of a module and the routes of another service that it imports."""
        routes = re.compile(re.escape(str(self.services)) + r"\.([^.]+)\.(.+_)?routes")
        allowed = [str(name) for name in self.importers]  # type: ignore[attr-defined]
        wrong: list[tuple[str, str]] = []
        for module in sorted(graph.modules):
            home = routes.fullmatch(module)
            if home is None:
                continue
            own = f"{self.services}.{home[1]}."
            importers = graph.find_modules_that_directly_import(module)
            strangers = [name for name in importers if not name.startswith(own) and name not in allowed]
            wrong += [(importer, module) for importer in sorted(strangers)]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Prints one line for each import."""
        for importer, module in check.metadata["wrong"]:
            output.print_error(f"{importer} imports {module}: move what it needs to a module without HTTP")


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """The circles among modules: Tarjan's strongly connected components of two or more, without recursion."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    waiting: list[str] = []
    found = []
    for start in imports:
        if start in number:
            continue
        number[start] = low[start] = len(number)
        waiting.append(start)
        path = [(start, iter(sorted(imports[start])))]
        while path:
            module, rest = path[-1]
            imported = next(rest, None)
            if imported is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[module])
                if low[module] == number[module]:
                    circle = waiting[waiting.index(module) :]
                    del waiting[-len(circle) :]
                    if len(circle) > 1:
                        found.append(sorted(circle))
            elif imported not in number:
                number[imported] = low[imported] = len(number)
                waiting.append(imported)
                path.append((imported, iter(sorted(imports.get(imported, ())))))
            elif imported in waiting:
                low[module] = min(low[module], number[imported])
    return found
