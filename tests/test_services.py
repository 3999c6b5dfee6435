"""The catalogue of services: what is read, what is refused, and what depends on what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiprism import services, yamlfile
from aiprism.errors import ConfigError
from aiprism.services import Catalogue, Service

PAGE = Path(__file__).parent.parent / "docs" / "services.md"


def read(text):
    return services.read(yamlfile.parse(text, file="services.yml"))


def test_the_example_of_the_page_is_read_as_the_page_says():
    text = re.search(r"tests/test_services.py reads this block -->\n```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert text is not None
    found = read(text[1])
    assert list(found) == [
        Service(
            "checkout", "takes orders", "ann@example.com", "payments", 1, "https://git.example.com/payments/checkout",
            "https://wiki.example.com/runbooks/checkout", ("checkout-api",), ("postgres", "model-server"),
            {"slack": "#payments"},
        ),
        Service("model-server", owner="ml-platform@example.com", tier=2),
        Service("postgres"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services: {a: {ownr: ann}}", "services.yml:1: unknown key 'ownr' in services.a; did you mean 'owner'?"),
        ("services:\n  a: {tier: 7}", "services.yml:2: a tier is a number from 0 (matters most) to 4, not 7"),
        ("services:\n  a: {kind: cache}",
         "services.yml:2: a kind is one of service, database, queue, model, external, not 'cache'"),
        ("services:\n  a: {}\n  b:\n    dependencies: [a, c]",
         "services.yml:4: service 'b' depends on 'c', which is not declared; add `c: {}`"),
        ("services:\n  a: {}\n  b:\n    aliases: [a]", "services.yml:4: 'a' is already a name of 'a'"),
        ("services:\n  a: {aliases: [c]}\n  b: {aliases: c}", "services.yml:3: 'c' is already a name of 'a'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text, told):
    with pytest.raises(ConfigError) as error:
        read(text)
    assert str(error.value).startswith(told)


def test_what_stands_beneath_a_service_is_all_it_depends_on_but_nothing_that_depends_on_it():
    found = Catalogue([
        Service("web", dependencies=("shop",)), Service("shop", dependencies=("db", "mail")), Service("db"),
        Service("mail", dependencies=("shop",)), Service("alone"),
    ])  # fmt: skip
    assert {each.name: set(found.beneath(each.name)) for each in found} == {
        "web": {"shop", "db", "mail"}, "shop": {"db"}, "db": set(), "mail": {"db"}, "alone": set(),
    }  # fmt: skip
    assert found.beneath("unknown") == frozenset()


def test_services_are_related_when_one_depends_directly_on_the_other_by_whatever_name():
    found = Catalogue([
        Service("web", dependencies=("shop",)), Service("shop", aliases=("shop-api",), dependencies=("db",)), Service("db"),
    ])  # fmt: skip
    assert found.related("web", "shop-api")
    assert found.related("db", "shop")
    assert found.related("shop-api", "shop")
    assert not found.related("web", "db")
    assert not found.related("web", "unknown")
