"""The index."""

import re
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from django.utils.html import strip_tags

from comparisons.pages.prose import prose
from comparisons.pairs import COMPARISONS, GROUPS
from comparisons.questions import QUESTIONS
from tests.comparisons.pages.conftest import Save
from tests.support.results import EXPECTED, MEASUREMENT, VERDICT, empty_page, html_of, text_of


def entry_of(html: str, slug: str) -> str:
    entries = html[html.index('<section class="group"') :]
    return entries[entries.index(f'href="/{slug}/') :].split('<li class="entry">')[0]


def test_index_lists_groups_and_titles_in_reading_order(client: Client) -> None:
    headings = re.findall(r"<h[23][^>]*>(?:<a[^>]*>)?(.*?)</", html_of(client, "/"))
    expected = [
        heading
        for group, modules in GROUPS.items()
        for heading in (group, *(module.comparison.title for module in modules))
    ]
    before = ["Results shown", "By question", *QUESTIONS]
    assert [unescape(heading) for heading in headings] == [*before, *expected]


def test_index_links_every_answer_under_its_question(client: Client, save: Save) -> None:
    save()
    html = html_of(client, "/")
    html = html[html.index("By question") : html.index('<section class="group"')]
    for question, slugs in QUESTIONS.items():
        answers = html[html.index(question) :].split("<h3>")[0]
        assert re.findall(r'href="/([\w-]+)/"', answers) == slugs
    assert re.search(r'href="/cpu-bound/">[^<]*</a> <span class="sign holds"', html)


@pytest.mark.parametrize("slug", COMPARISONS)
def test_index_links_a_comparison_and_names_its_variants(slug: str) -> None:
    entry = entry_of(empty_page("/"), slug)
    assert str(prose(COMPARISONS[slug].lesson()["Claim"])) in entry
    named = re.findall(r"<li[^>]*><code>(\w+)</code>(.*?)</li>", entry, re.DOTALL)
    assert [(name, "pitfall" in mark) for name, mark in named] == [
        (variant.name, variant.pitfall) for variant in COMPARISONS[slug].variants
    ]


def test_index_without_results_says_how_to_get_them(client: Client) -> None:
    assert "None yet. python manage.py compare --quick" in text_of(client, "/")


def test_index_names_the_run_its_machine_and_its_versions(client: Client, save: Save) -> None:
    save()
    text = text_of(client, "/")
    run = "22 November 2026, 21:30 UTC, Abacus 9000 (64 CPUs); Python 3.13.9, Django 6.1.3."
    assert f"{run} File: 2026-11-22T21-30-05Z.json" in text


def test_index_counts_verdicts(client: Client, save: Save) -> None:
    words = ("holds", "holds", "refuted", "inconclusive", "invalid")
    save(verdicts=[VERDICT | {"verdict": word} for word in words])
    assert "✓ 2 held ✗ 1 refuted ? 1 inconclusive – 1 invalid" in text_of(client, "/")


@pytest.mark.parametrize(
    ("words", "chip"),
    [
        (["holds", "holds"], "✓ held"),
        (["holds", "inconclusive"], "? undecided"),
        (["holds", "invalid"], "? undecided"),
        (["inconclusive", "refuted", "holds"], "✗ refuted in part"),
    ],
)
def test_chip_of_a_claim_is_refuted_before_undecided_before_held(
    client: Client, save: Save, words: list[str], chip: str
) -> None:
    save(verdicts=[VERDICT | {"verdict": word} for word in words])
    entry = strip_tags(entry_of(html_of(client, "/"), "cpu-bound"))
    assert chip in " ".join(entry.split())


def test_finding_of_a_comparison_is_what_is_refuted_or_tells_two_variants_apart(
    client: Client, save: Save
) -> None:
    apart = EXPECTED["expected"] | {"of": "sync", "metric": "throughput"}
    verdicts = [
        VERDICT | EXPECTED,
        VERDICT | {"expected": apart},
        VERDICT | EXPECTED | {"verdict": "refuted", "measured": 0.5},
    ]
    save(verdicts=verdicts[:2])
    assert "async_blocking serves 2.35 times as many requests" in text_of(client, "/")
    save(verdicts=verdicts)
    assert "refuted: a bystander of async_blocking waits 50 %" in text_of(client, "/")


def test_index_tells_measured_without_verdicts_from_not_measured(
    client: Client, save: Save
) -> None:
    save(verdicts=[])
    text = text_of(client, "/")
    assert text.count("measured, no verdicts") == 1
    assert text.count("not measured here yet") == len(COMPARISONS) - 1


def test_index_names_the_older_file_where_the_newest_has_no_result(
    client: Client, save: Save
) -> None:
    save("2026-11-22T21-30-05Z.json", {"comparison": "blocking-call"}, verdicts=[])
    save("2026-11-20T21-30-05Z.json", started="2026-11-20T21:30:05Z")
    text = text_of(client, "/")
    assert "File: 2026-11-22T21-30-05Z.json" in text
    assert text.count("from 2026-11-20T21-30-05Z.json") == 1


def test_chosen_file_is_the_only_one_that_is_shown(client: Client, save: Save) -> None:
    save("2026-11-22T21-30-05Z.json", {"comparison": "blocking-call"}, verdicts=[])
    save("2026-11-20T21-30-05Z.json")
    html = html_of(client, "/?result=2026-11-20T21-30-05Z.json")
    assert "<option selected>2026-11-20T21-30-05Z.json</option>" in html
    assert html.count("not measured here yet") == len(COMPARISONS) - 1
    assert 'href="/cpu-bound/?result=2026-11-20T21-30-05Z.json"' in html


@pytest.mark.parametrize("url", ["/?result=nothing.json", "/cpu-bound/?result=../settings.py"])
def test_unknown_result_file_is_not_found(client: Client, save: Save, url: str) -> None:
    save()
    assert client.get(url).status_code == 404


def test_chosen_broken_file_is_named(client: Client, save: Save, results: Path) -> None:
    (results / "broken.json").write_text("{")
    save()
    text = text_of(client, "/cpu-bound/?result=broken.json")
    assert "Skipped broken.json: not a result file" in text
    assert str(MEASUREMENT["deployment"]) in text  # of the view, not of a result
    assert "Not measured yet" in text
