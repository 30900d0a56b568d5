"""README's "Adding a comparison" names all that a pair can declare and read."""

import dataclasses
import re
from pathlib import Path
from typing import get_args

import pytest
from django.apps import apps
from django.conf import settings

from comparisons.loading import LABELS
from comparisons.registry import THEORY, Client, Comparison, Expectation, Metric, Variant

README = Path(settings.BASE_DIR, "README.md").read_text()
SECTION = README.partition("## Adding a comparison\n")[2].partition("\n## ")[0]


def row_of(name):
    return re.search(rf"^\| `?{name}`? \| (.*) \|$", SECTION, re.MULTILINE)[1]


@pytest.mark.parametrize("kind", [Comparison, Variant, Client, Expectation])
def test_section_names_every_field_of_a_declaration(kind):
    fields = {field.name for field in dataclasses.fields(kind)} - {"place"}  # not for its author
    assert fields <= set(re.findall(r"`(\w+)(?:=\w+)?`", row_of(kind.__name__)))


def test_section_names_every_metric_and_no_other():
    assert set(re.findall(r"`(\w+)`", row_of("metrics"))) == set(get_args(Metric))


def test_section_names_what_theory_gives():
    assert set(re.findall(r'`"(\w+)"`', row_of("Expectation"))) == set(THEORY)


def test_section_names_the_labels_of_a_docstring():
    assert re.findall(r"`(\w+):`", SECTION) == LABELS


@pytest.mark.parametrize("model", list(apps.get_app_config("comparisons").get_models()))
def test_section_names_every_model_and_its_fields(model):
    named = re.search(rf"`{model.__name__}`\s+\(([^)]*)\)", SECTION)[1]
    fields = {field.name for field in model._meta.concrete_fields if not field.primary_key}
    assert set(re.findall(r"`(\w+)`", named)) == fields
