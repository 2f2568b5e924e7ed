"""The floors of the embedded engine: which module may import which, and what of the product it may use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ci import engine

PACKAGE = Path(engine.__path__[0])

# From the top down; a module imports only from lines below its own.
LAYERS = (
    ("protocol.session_process",),
    ("protocol.server",),
    ("protocol.schema",),
    ("resolvers.builds", "resolvers.containers", "resolvers.directories", "resolvers.publishing"),
    ("resolvers.execution", "resolvers.host", "resolvers.queries", "resolvers.repositories", "resolvers.workspaces"),
    ("resolvers.run_configs",),
    ("resolvers.files",),
    ("resolvers.platforms",),
    ("session.session",),
    ("session.descriptions", "session.resolver_registration", "session.secrets", "session.single_flight"),
    ("store.cleanup", "store.command_execution", "store.oci_images"),
    ("store.isolation", "store.containers", "store.registry_access", "store.git_repository"),
    ("store.buildah", "store.buildah_dockerfiles", "store.git_tree", "store.snapshots"),
    ("store.dockerfile_limits", "store.dockerfile_rewriting"),
    ("store.overlay", "store.session_folders", "store.tree_reads", "store.git_commands"),
    ("store.storage", "store.trees", "store.rooted_paths"),
    ("store.tree_filter",),
    ("store.patterns",),
    ("errors", "events"),
)

# Leaves of the product that the engine shares; its errors are not among them.
SHARED = {
    f"pipeline.rules.{name}" for name in ("dockerfile", "image_name", "media_types", "platforms", "stages", "text")
}
ROOMS_BELOW = ("ci.system.", "ci.dockerfile.")

MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
)
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
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {
                name for name in inner if name.removeprefix("ci.engine.") in MODULES or name.endswith(".resolvers")
            }
            found |= modules or {node.module}
    return found


def _rank(module: str) -> int:
    return next(place for place, layer in enumerate(LAYERS) if module in layer)


def test_every_module_has_its_layer() -> None:
    assert sorted(name for layer in LAYERS for name in layer) == MODULES


@every_module
def test_imports_go_only_down(module: str) -> None:
    ours = {name.removeprefix("ci.engine.") for name in _imports(module) if name.startswith("ci.engine.")}
    if module == "protocol.schema":  # the package registers every resolver
        assert "resolvers" in ours
        ours.remove("resolvers")
    assert {name for name in ours if _rank(name) <= _rank(module)} == set()


@every_module
def test_the_engine_stands_on_the_system_and_on_few_leaves_of_the_product(module: str) -> None:
    others = {name for name in _imports(module) if name.partition(".")[0] in {"ci", "pipeline", "tests", "bench"}}
    outside = {name for name in others if not name.startswith(("ci.engine.", *ROOMS_BELOW))}
    assert outside <= SHARED


def test_the_rooms_below_stand_on_no_engine() -> None:
    for room in ("system", "dockerfile"):
        for file in sorted((PACKAGE.parent / room).glob("*.py")):
            assert "ci.engine" not in file.read_text(encoding="utf-8")
