"""The variables that code reads, found in its syntax trees."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_steps.needs.model import Reads, Source
from mlops_steps.needs.variables import read_variables

CONTENT = Path(__file__).parents[2] / "mlops_steps" / "sandbox" / "content" / "churn"
HEAD = "import dataiku\nv = dataiku.get_custom_variables()\n"


def read(code: str, **modules: str) -> Reads:
    library = [Source(f"library {name}.py", text, name.replace("__", ".")) for name, text in modules.items()]
    return read_variables([Source("recipe r", code), *library], "MINE")


def needed(code: str, **modules: str) -> set[str]:
    found = read(code, **modules)
    assert not found.undecided, found.undecided
    return set(found.needed)


@pytest.mark.parametrize(
    "code",
    [
        "import dataiku\ndataiku.get_custom_variables()['x']",
        "import dataiku\ndataiku.get_custom_variables(typed=True)['x']",
        "import dataiku as dk\ndk.get_custom_variables()['x']",
        "from dataiku import get_custom_variables as read\nread()['x']",
        "from dataiku import *\nget_custom_variables()['x']",
        "import dataiku\ndataiku.dku_flow_variables['x']",
        "import dataiku\ndataiku.get_custom_variables(project_key='MINE')['x']",
        "import dataiku\ndataiku.get_custom_variables(dataiku.default_project_key())['x']",
        "from dataiku.scenario import Scenario\nScenario().get_all_variables()['x']",
        f"{HEAD}v['x']",
        f"{HEAD}v.pop('x')",
        f"{HEAD}w = dict(v)\nw['x']",
        f"{HEAD}w = v.copy()\nw['x']",
        f"{HEAD}v = dict(v)\nv['x']",
        f"{HEAD}(w := v)['x']",
        f"{HEAD}NAME = 'x'\nv[NAME]",
        f"{HEAD}class Names:\n    X = 'x'\nv[Names.X]",
        f"{HEAD}for name in ('x',):\n    v[name]",
        f"{HEAD}NAMES = ['x']\n{{name: v[name] for name in NAMES}}",
        f"{HEAD}def f():\n    return v['x']",
        f"{HEAD}def f(values):\n    return values['x']\nf(v)",
        f"{HEAD}def f(values):\n    return values['x']\nf(values=v)",
        f"{HEAD}def f(name):\n    return v[name]\nf('x')",
        f"{HEAD}def f(name='x'):\n    return v[name]",
        f"{HEAD}def f(values, name):\n    return g(values, name)\n"
        "def g(values, name):\n    return values[name]\nf(v, 'x')",
        "import dataiku\ndef f():\n    return dataiku.get_custom_variables()\nf()['x']",
        f"{HEAD}class C:\n    def __init__(self, values):\n        self.values = values\n"
        "    def f(self):\n        return self.values['x']\nC(v)",
        f"{HEAD}if 'x' not in v:\n    raise LookupError('x')\nv['x']",
        f"{HEAD}try:\n    v['x']\nexcept KeyError as error:\n    raise SystemExit from error",
        f"{HEAD}try:\n    v['x']\nexcept ValueError:\n    pass",
        f"{HEAD}print(f\"{{v['x']}}\", v)",
        f"{HEAD}(lambda: v['x'])()",
        f"{HEAD}with open('f') as f:\n    f.write(v['x'])",
    ],
)
def test_a_read_is_found(code: str) -> None:
    assert needed(code) == {"x"}


@pytest.mark.parametrize(
    "code",
    [
        "d = {}\nd['x']",
        "import dataiku\ndataiku.Dataset('x')['x']",
        "import dataiku\ndataiku.get_custom_variables(project_key='OTHER')['x']",
        f"{HEAD}v.get('x', 1)",
        f"{HEAD}v.setdefault('x', 1)",
        f"{HEAD}v.pop('x', 1)",
        f"{HEAD}v['x'] = 1\nv['x']",
        f"{HEAD}if 'x' in v:\n    v['x']",
        f"{HEAD}v['x'] if 'x' in v else 1",
        f"{HEAD}'x' in v and v['x']",
        f"{HEAD}'x' not in v or v['x']",
        f"{HEAD}def f():\n    if 'x' not in v:\n        return 1\n    return v['x']",
        f"{HEAD}[v[name] for name in ('x', 'y') if name in v]",
        f"{HEAD}try:\n    v['x']\nexcept KeyError:\n    pass",
        f"{HEAD}# v['x']\ntext = \"v['x']\"",
        f"{HEAD}def f(v):\n    return v['x']\nf({{'x': 1}})",
    ],
)
def test_what_needs_no_variable_is_not_found(code: str) -> None:
    assert needed(code) == set()


@pytest.mark.parametrize(
    "code",
    [
        f"{HEAD}v['a' + 'b']",
        f"{HEAD}country = input()\nv[f'budget_{{country}}']",
        f"{HEAD}def f(name):\n    return v[name]",
        f"{HEAD}def f(name):\n    return v[name]\nf(input())",
        f"{HEAD}import other\nother.use(v)",
        f"{HEAD}import other\nother.use(**v)",
        f"{HEAD}w = {{**v, 'y': 1}}\nw['x']",
        f"{HEAD}w = v if input() else {{}}\nw['x']",
        "def f(:",
    ],
)
def test_what_cannot_be_decided_is_said(code: str) -> None:
    found = read(code)
    assert not found.needed
    assert [one.object for one in found.undecided] == ["recipe r"]


def test_a_get_without_a_default_is_tolerated() -> None:
    found = read(f"{HEAD}v.get('x')")
    assert (set(found.needed), set(found.tolerated)) == (set(), {"x"})


def test_names_are_followed_through_the_library() -> None:
    names = "BUDGET = 'budget'\nMORE = ('a', 'b')"
    package = "from .retention import budget"
    retention = "from churn.names import BUDGET, MORE\nfrom churn import names\ndef budget(values):\n" + (
        "    return values[BUDGET], values[names.BUDGET], [values[name] for name in MORE]\n"
    )
    code = "import dataiku\nfrom churn.retention import budget\nbudget(dataiku.get_custom_variables())"
    assert needed(code, churn__names=names, churn__retention=retention) == {"budget", "a", "b"}
    modules = [
        Source("library churn/__init__.py", package, "churn"),
        Source("library churn/names.py", names, "churn.names"),
        Source("library churn/retention.py", retention, "churn.retention"),
        Source("recipe r", "import dataiku\nimport churn\nchurn.budget(dataiku.get_custom_variables())"),
    ]
    found = read_variables(modules)
    assert found.needed == {name: ["library churn/retention.py"] for name in ("budget", "a", "b")}


def test_variables_that_a_scenario_sets_are_provided() -> None:
    found = read("from dataiku.scenario import Scenario\nScenario().set_scenario_variables(a=1, b=2)")
    assert found.provided == {"a", "b"}


def test_the_budget_of_the_third_revision_is_found() -> None:
    retention = (CONTENT / "revision_3/project_config/lib/python/churn/retention.py").read_text()
    code = "import dataiku\nfrom churn.retention import budget\nbudget(dataiku.get_custom_variables(typed=True))\n"
    assert needed(code, churn__retention=retention) == {"retention_budget"}


def test_deep_and_circular_code_comes_to_an_end() -> None:
    deep = HEAD + "x = " + "(" * 80 + "v" + ")" * 80 + "['x']"
    assert needed(deep) == {"x"}
    read(HEAD + "v" + ".a" * 5000)
    read(HEAD + "a = b\nb = a\nv[a]\ndef f(x):\n    return f(x)\nf(f(v))['y']")
    read("from a import *\nx", a="from b import *\nfrom b import y", b="from a import *\nfrom a import y")


_NAMES = st.sampled_from(["a", "b", "c", "v", "f", "g"])
_STATEMENTS = st.recursive(
    st.one_of(
        st.builds("{0} = {1}".format, _NAMES, _NAMES),
        st.builds("{0} = dataiku.get_custom_variables()".format, _NAMES),
        st.builds("{0} = '{1}'".format, _NAMES, _NAMES),
        st.builds("{0}[{1}]".format, _NAMES, _NAMES),
        st.builds("{0}['{1}']".format, _NAMES, _NAMES),
        st.builds("{0}({1}, {2})".format, _NAMES, _NAMES, _NAMES),
        st.builds("{0} = {1}({2})".format, _NAMES, _NAMES, _NAMES),
        st.builds("from m import {0}".format, _NAMES),
        st.just("from m import *"),
    ),
    lambda inner: st.builds(
        lambda head, body: head + "".join(f"\n    {line}" for one in body for line in one.splitlines()),
        st.sampled_from(
            ["def f(a, b=c):", "def g(*a, **b):", "class C:", "if 'a' in v:", "for a in b:", "while not v.get(a):"]
        ),
        st.lists(inner, min_size=1, max_size=4),
    ),
    max_leaves=12,
)


@given(st.lists(_STATEMENTS, max_size=8), st.lists(_STATEMENTS, max_size=4))
def test_any_code_is_read_to_its_end_and_twice_the_same(code: list[str], library: list[str]) -> None:
    text = "import dataiku\n" + "\n".join(code)
    first = read(text, m="\n".join(library))
    assert first == read(text, m="\n".join(library))
    # Where nothing is the variables, nothing is read of them.
    if "get_custom_variables" not in text + "".join(library):
        assert not first.needed


@given(st.text())
def test_any_text_is_read_to_its_end(text: str) -> None:
    read(text)


@given(st.text(min_size=1, max_size=30))
def test_any_name_is_found(name: str) -> None:
    assert needed(f"{HEAD}v[{name!r}]") == {name}
    assert needed(f"{HEAD}v.get({name!r}, 1)") == set()
