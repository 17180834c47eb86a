"""The schema for editors takes what the loader takes, and refuses what a schema can tell is wrong."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from photosynth.fleet.schema import fleet_schema

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(fleet_schema())
    return Draft202012Validator(fleet_schema())


def example(path: Path = EXAMPLES[0]) -> Any:
    yaml = YAML(typ="safe")
    yaml.constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    return yaml.load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_hold(schema: Draft202012Validator, path: Path) -> None:
    schema.validate(example(path))


@pytest.mark.parametrize(
    ("at", "key", "value"),
    [
        ((), "version", 1),
        ((), "site", {}),
        (("sites", 0), "bitcoin", {}),
        (("sites", 0, "grid"), "connection", [400]),
        (("sites", 0, "machines", "groups", 0), "count", 0),
        (("nodes", 0), "network", "dogecoin"),
        (("nodes", 0), "run", "somehow"),
        (("nodes", 0, "demonstration"), "difficulty", "many"),
        (("wallets", 0), "custody", "theirs"),
    ],
)
def test_what_is_wrong_by_itself_is_refused(
    schema: Draft202012Validator, at: tuple[str | int, ...], key: str, value: object
) -> None:
    whole = example()
    part = whole
    for step in at:
        part = part[step]
    part[key] = value
    assert not schema.is_valid(whole)


def test_a_key_that_is_needed_is_missed(schema: Draft202012Validator) -> None:
    whole = example()
    del whole["sites"][0]["zone"]
    assert not schema.is_valid(whole)
    assert schema.is_valid({"version": 2, "operator": "me"})
