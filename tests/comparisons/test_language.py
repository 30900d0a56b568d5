"""The language of a page."""

import re

import pytest
from django.test import Client
from django.utils.translation import override

from comparisons.pages.prose import prose
from tests.support.untranslated import mark_translated, unmarked

PAGES = ["/", "/blocking-call/"]
SKIP = {"en": "Skip to the content", "tr": "İçeriğe geç"}


def language_of(response) -> str:
    """Its language, if everything on and about the page agrees on it."""
    html = response.content.decode()
    language = response["Content-Language"]
    assert f'<html lang="{language}">' in html
    assert [code for code, said in SKIP.items() if said in html] == [language]
    assert {"Accept-Language", "Cookie"} <= {*re.split(", *", response["Vary"])}
    return language


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("asked", "language"),
    [("", "en"), ("tr-TR,tr;q=0.9,en;q=0.8", "tr"), ("de,tr;q=0.5", "tr"), ("de", "en")],
)
def test_page_is_in_the_language_that_the_browser_asks_for(client: Client, path, asked, language):
    headers = {"accept-language": asked} if asked else {}
    assert language_of(client.get(path, headers=headers)) == language


@pytest.mark.parametrize("path", PAGES)
def test_switch_leads_back_to_the_same_page_in_the_other_language(path):
    client = Client(enforce_csrf_checks=True)
    for language in ("tr", "en"):
        html = client.get(path).content.decode()
        form = re.search(
            r'<form class="language" action="(.+?)" method="post">(.*?)</form>', html, re.DOTALL
        )
        fields = dict(re.findall(r'name="(\w+)" value="(.+?)"', form[2]))
        assert fields["language"] == language
        response = client.post(form[1], fields)
        assert (response.status_code, response["Location"]) == (302, path)
        assert language_of(client.get(path)) == language


def test_page_that_is_not_there_is_in_the_readers_language_too(client: Client):
    response = client.get("/no-such-page/", headers={"accept-language": "tr"})
    assert language_of(response) == "tr"
    assert "<code>/no-such-page/</code> adresinde" in response.content.decode()


def test_next_request_of_the_thread_is_in_its_own_language(client: Client):
    client.get("/", headers={"accept-language": "tr"})
    assert language_of(client.get("/")) == "en"


def test_views_that_are_measured_are_asked_for_no_language(client: Client):
    response = client.get("/bystander/", headers={"accept-language": "tr"})
    assert "Content-Language" not in response


def test_sentence_begins_with_a_capital_of_its_language():
    assert prose("in threads") == "In threads"
    with override("tr"):
        assert prose("iki `i`") == "İki <code>i</code>"
        assert prose("") == ""


# --- What no catalogue can translate, because nothing marks it


@pytest.mark.parametrize("path", ["/no-such-page/"])
def test_all_that_a_page_says_is_marked_for_translation(client: Client, monkeypatch, path):
    mark_translated(monkeypatch)
    html = client.get(path).content.decode()
    assert "⟦Skip to the content⟧" in html
    assert unmarked(html) == []


def test_text_that_nothing_marks_is_found():
    html = '<p aria-label="Here">⟦It is ⟦inside⟧ <code>of</code> it⟧</p><p>It is <b>not</b> 3.</p>'
    html += '<b lang="tr">Evet</b><b translate="no">sync</b>'
    assert unmarked(html) == ["Here", "It is not 3."]
