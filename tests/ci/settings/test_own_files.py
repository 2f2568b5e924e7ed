"""This repository's own files: what `dagger call` and `lr-ci` build here without a flag."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from ci.settings.arguments import CONSTRUCTOR, FUNCTIONS, Kind, spelled
from ci.settings.dagger_json import DAGGER_JSON, MODULE, read_dagger_json
from ci.settings.dotenv import DOTENV, read_dotenv
from ci.settings.images import read_images

ROOT = Path(__file__).parents[3]


def test_the_image_is_linkradars() -> None:
    for folder in (ROOT, ROOT / "backend" / "app"):
        (image,) = read_images(folder)
        assert {name: setting.value for name, setting in image.settings("plan").items()} == {"name": "lr-backend"}
        checks = {name: setting.value for name, setting in image.settings("verify").items()}
        assert checks == {"name": "lr-backend", "command": ("bin/rails", "--version"), "path": "/up"}


def test_the_settings_are_in_git() -> None:
    command = ["git", "ls-files", "--error-unmatch", DOTENV, DAGGER_JSON]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)


def test_each_variable_is_an_argument_of_the_module_and_no_secret() -> None:
    kinds = {spelled(name).lower(): kind for name, kind in CONSTRUCTOR.items()}
    for function, arguments in FUNCTIONS.items():
        kinds |= {f"{function}_{spelled(name)}".lower(): kind for name, kind in arguments.items()}
    variables = read_dotenv(ROOT / DOTENV)
    ours = variables.below(MODULE).own
    assert len(ours) == len(variables.own)
    assert {name.lower() for name in ours} <= set(kinds)
    assert not {Kind.SECRET, Kind.SECRETS} & {kinds[name.lower()] for name in ours}


def test_they_do_not_count_where_a_local_copy_of_the_module_is_used(tmp_path: Path) -> None:
    config = {"name": "app", "toolchains": [{"name": "api", "source": str(ROOT)}]}
    (tmp_path / DAGGER_JSON).write_text(json.dumps(config), encoding="utf-8")
    (image,) = read_images(tmp_path)
    assert (image.name, image.settings("verify")) == ("api", {})


def test_the_module_has_the_name_of_the_prefix() -> None:
    assert read_dagger_json(ROOT / DAGGER_JSON).name == MODULE
