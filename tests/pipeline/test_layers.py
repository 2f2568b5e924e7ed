from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline"

# From the top down; a module imports only from lines below its own.
LAYERS = (
    ("module",),
    ("run", "engine.verification", "engine.builder", "engine.repository"),
    ("engine.platforms", "preview"),
    ("publishing", "engine.failures", "engine.git_objects"),
    ("promotion", "relabelling"),
    ("registry.client",),
    ("registry.authentication",),
    ("registry.failures", "rules.guards", "rules.tag_state"),
    ("registry.credentials", "registry.retry", "registry.answers"),
    ("progress", "rules.planning", "rules.job_summary"),
    ("rules.labels", "rules.shared_options", "rules.report"),
    ("rules.tagging", "rules.checkout"),
    ("registry.manifests", "rules.build_inputs", "rules.stages"),
    ("rules.runtime_checks",),
    ("rules.age", "rules.failed_step", "rules.image_name", "rules.named_values"),
    ("rules.platforms", "rules.refs", "rules.source_path"),
    ("rules.errors", "rules.text", "rules.github_origin", "rules.http_statuses", "rules.media_types", "concurrency"),
    ("rules.dockerfile",),
    ("rules.exit_codes",),
)
# Where a module of one layer needs its neighbour.
WITHIN_A_LAYER = {("engine.verification", "engine.builder")}

# What a module may use beyond the standard library; what is not named here is pure: pydantic at most.
EFFECTS = {
    "module": {"dagger", "pydantic"},
    "engine.verification": {"dagger", "anyio"},
    "engine.builder": {"dagger"},
    "engine.platforms": {"dagger"},
    "engine.repository": {"dagger", "anyio", "dulwich"},
    "engine.git_objects": {"dulwich"},
    "engine.failures": {"dagger"},
    "registry.client": {"httpx", "anyio"},
    "registry.failures": {"httpx"},
    "registry.answers": {"httpx", "typing_extensions"},
    "registry.authentication": {"httpx", "typing_extensions"},
    "concurrency": {"anyio"},
    "registry.retry": {"anyio"},
}
# Parts of the standard library that reach out of the process.
OUTWARD = {"os", "subprocess", "socket", "urllib", "http", "shutil", "tempfile", "asyncio", "pathlib", "ssl", "sys"}
REACHING_OUT = {
    "engine.repository": {"tempfile", "pathlib"},
    "engine.git_objects": {"os", "pathlib"},
    "engine.failures": {"http"},
    "registry.client": {"ssl"},
    "registry.failures": {"ssl"},
    "progress": {"sys"},
    "rules.text": {"urllib"},  # its quoting alone
}

MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
)
PACKAGES = {"pipeline", "pipeline.engine", "pipeline.registry", "pipeline.rules"}
every_module = pytest.mark.parametrize("module", MODULES)


def _imports(module: str) -> set[str]:
    tree = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module is not None
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module in PACKAGES else {node.module}
    return found


def _rank(module: str) -> int:
    return next(place for place, layer in enumerate(LAYERS) if module in layer)


def _tops(module: str) -> set[str]:
    return {name.partition(".")[0] for name in _imports(module)}


def test_every_module_has_its_layer() -> None:
    assert sorted(name for layer in LAYERS for name in layer) == MODULES


@every_module
def test_imports_go_only_down(module: str) -> None:
    ours = {name.partition(".")[2] for name in _imports(module) if name.startswith("pipeline.")}
    assert {name for name in ours if _rank(name) <= _rank(module) and (module, name) not in WITHIN_A_LAYER} == set()


@every_module
def test_a_module_uses_the_libraries_of_its_layer(module: str) -> None:
    others = {name for name in _tops(module) if name not in sys.stdlib_module_names} - {"pipeline"}
    assert others <= EFFECTS.get(module, {"pydantic"})


@every_module
def test_a_pure_module_does_not_reach_out_of_the_process(module: str) -> None:
    assert _tops(module) & OUTWARD <= REACHING_OUT.get(module, set())


def test_the_pipeline_never_imports_what_stands_around_it() -> None:
    for module in MODULES:
        assert not {"ci", "tests", "bench"} & _tops(module)


def test_the_module_takes_the_sdk_that_its_engine_brings() -> None:
    # The engine's copy of the SDK need not have the released number: with a pin, nothing could be installed there.
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "dagger-io" in project["dependencies"]
    assert any(wanted.startswith("dagger-io==") for wanted in project["optional-dependencies"]["ci"])
