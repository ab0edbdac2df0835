"""What a project holds besides its flow is read from its files; an empty list where it has none."""

from __future__ import annotations

import dataikuapi

from mlops_steps.sandbox.services.projects.model import Project
from tests.sandbox.conftest import write_tree


def test_a_project_without_them_has_empty_lists(design: dataikuapi.DSSClient, tiny: Project) -> None:
    project = design.get_project(tiny.key)
    assert project.list_dashboards() == project.list_insights() == []
    assert project.list_jupyter_notebooks(as_type="listitems") == []
    assert project.get_wiki().list_articles() == []
    assert design.list_plugins() == []
    assert design.get_general_settings().get_raw() == {}
    assert design.get_licensing_status()["base"]["hasLicense"] is False


def test_what_the_files_hold_is_shown(design: dataikuapi.DSSClient, tiny: Project) -> None:
    board = {"name": "Overview", "pages": [{"grid": {"tiles": [{}, {}]}}]}
    book = {"cells": [], "metadata": {"kernelspec": {"name": "python3", "language": "python"}}, "nbformat": 4}
    write_tree(
        tiny.dir,
        {
            "project_config/dashboards/ruBLzxY.json": board,
            "project_config/insights/JmIsa8f.json": {"name": "Ages", "type": "chart"},
            "ipython_notebooks/Ada's notebook.ipynb": book,
        },
    )
    project = design.get_project(tiny.key)
    (shown,) = project.list_dashboards()
    assert (shown.id, shown.name, shown.num_pages, shown.num_tiles) == ("ruBLzxY", "Overview", 1, 2)
    assert shown.to_dashboard().get_settings().get_raw()["pages"] == board["pages"]
    (insight,) = project.list_insights()
    assert (insight.id, insight.name, insight.type) == ("JmIsa8f", "Ages", "chart")
    (notebook,) = project.list_jupyter_notebooks(as_type="listitems")
    assert (notebook.name, notebook.language) == ("Ada's notebook", "python")
    assert notebook.to_notebook().get_content().get_raw() == book
    assert project.list_jupyter_notebooks(active=True) == []
