"""The Turkish catalogue: nothing that pages show is untranslated, and no translation says else."""

import re

import pytest
from babel.messages.catalog import Catalog
from django.utils.translation import gettext, ngettext, override

from comparisons import translations
from comparisons.pairs import COMPARISONS
from comparisons.reasons import reason
from comparisons.sentences import THEORY, expectation_sentence, sentence
from comparisons.translations import MO, PO, add, differences, mo_of, po_of, untranslated, updated
from tests.comparisons.test_sentences import EACH_COMPARISON, expect, expected_of, found


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """As the present sources ask for it."""
    return updated()


def test_no_text_of_the_pages_is_untranslated(catalog):
    missing = [message.id for message in untranslated(catalog)]
    assert missing == [], "translate them: python -m comparisons.translations > todo.json"


def test_translations_have_the_placeholders_code_and_numbers_of_their_texts(catalog):
    assert differences(catalog) == []


def test_no_other_app_of_the_project_translates_a_text_otherwise(catalog):
    """Its catalogue would be preferred: Django's are of apps before ours."""
    with override("tr"):
        for message in catalog:
            if isinstance(message.id, tuple):
                assert (*(ngettext(*message.id, n) for n in (1, 2)),) == message.string
            elif message.id:
                assert gettext(message.id) == message.string


def test_catalogue_is_that_of_the_sources_and_compiled(catalog):
    told = "bring it up to date: python -m comparisons.translations"
    assert PO.read_bytes() == po_of(catalog), told
    assert MO.read_bytes() == mo_of(catalog), told


def test_texts_are_gathered_from_templates_python_and_the_registry(catalog):
    pair = COMPARISONS["blocking-call"]
    texts = ["Skip to the content", "%(number)s expected", pair.title, pair.lesson()["Claim"]]
    texts += [pair.expectations[0].why, "every request connects"]  # declared: `# pitfall: ...`
    assert [text for text in texts if text not in catalog] == []


@pytest.mark.parametrize(
    ("text", "translation", "differs"),
    [
        ("serves %(number)s", "karşılıyor", "'%(number)s'"),
        ("{n} more", "{m} tane daha", "'{n}', '{m}'"),
        ("`gather` it", "`gather()` ile", "'`gather`', '`gather()`'"),
        ("2,000 rows", "200 satır", "'2000', '200'"),
        ("<code>a</code>", "<code>a", "'</code>'"),
        ("2,000 of `rows`, 95 %", "`rows`: 2.000, %95", None),
    ],
)
def test_what_a_translation_has_to_keep(text, translation, differs):
    catalog = Catalog()
    catalog.add(text, translation)
    assert [line.partition(" differs")[0] for line in differences(catalog)] == [differs][
        : bool(differs)
    ]


def test_changed_text_is_untranslated_until_somebody_translates_it(monkeypatch):
    monkeypatch.setattr(translations, "marked_texts", lambda: [("a.html", "All comparison")])
    monkeypatch.setattr(translations, "registry_texts", lambda: [])
    catalog = updated()
    assert [message.id for message in untranslated(catalog)] == ["All comparison"]
    assert add(catalog, {"All comparison": "Bütün karşılaştırma", "gone": "yok"}) == ["gone"]
    assert untranslated(catalog) == []


# --- Sentences


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            found(expect(low=3), 6.14, 6.02, 6.31),
            "async_native saniyede async_blocking varyantının 6,14 katı istek karşılıyor"
            " (en az 3 bekleniyordu; %95 güvenle 6,02–6,31)",
        ),
        (
            found(expect(low=0.9, high=1.1), 0.984, 0.935, 1.03),
            "async_native saniyede async_blocking varyantının %98,4 kadarı istek karşılıyor"
            " (%90–110 bekleniyordu; %95 güvenle %93,5–103)",
        ),
        (
            found(expect(of="ceiling", low=0.87), 0.907, 0.899, 0.914),
            "async_native kendi tavanının %90,7 kadarı istek karşılıyor"
            " (en az %87 bekleniyordu; %95 güvenle %89,9–91,4)",
        ),
        (
            found(expect("bystander", of="wait", low=1), 6.29, 6.16, 6.42),
            "async_native sırasında kenardaki kullanıcı isteğin bekleme süresinin"
            " 6,29 katı bekliyor (en az 1 bekleniyordu; %95 güvenle 6,16–6,42)",
        ),
        (
            found(expect("bystander", of=None, high=10), 2.73, 2.46, 3),
            "async_native sırasında kenardaki kullanıcı 2,73 ms bekliyor"
            " (en fazla 10 bekleniyordu; %95 güvenle 2,46–3)",
        ),
        (
            found(expect("threads", of=None, high=20), 1008, 1002, 1008, outcome="refuted"),
            "4 tur boyunca async_native server'ında 1.002–1.008 thread var"
            " (en fazla 20 bekleniyordu)",
        ),
        (
            found(expect("failures", of=None, high=0), 0, 0, 0.0119, answers=312),
            "async_native için 312 istekten hiçbiri başarısız olmadı"
            " (sıfır bekleniyordu; %95 güvenle 84 istekte 1'den azı)",
        ),
        (
            found(
                expect(low=2, round_trip=10, text="a throughput of b at least 2 at 10 ms"),
                *(3, 2.5, 3.5),
                deployment="asgi-gunicorn",
                outcome="inconclusive",
                open_because="about 5 more rounds like these",
            ),
            "asgi-gunicorn üzerinde 10 ms uzaklıkta async_native saniyede async_blocking"
            " varyantının 3 katı istek karşılıyor (en az 2 bekleniyordu; %95 güvenle 2,5–3,5;"
            " karar için gereken: bunlar gibi yaklaşık 5 tur daha)",
        ),
        (
            found(expect(low=3), None, outcome="invalid", because="sync: 1 rounds only; a crash"),
            "ölçülemedi: async_native saniyede async_blocking varyantının en az 3 katı istek"
            " karşılıyor: sync: yalnızca 1 tur; a crash",
        ),
    ],
)
def test_verdict_is_a_turkish_sentence(verdict, said):
    with override("tr"):
        assert sentence(verdict) == said


@EACH_COMPARISON
def test_every_sentence_has_a_turkish_one_with_its_variants_and_no_suffix_on_them(comparison):
    for expected in expected_of(comparison):
        shares = {"answers": 40} if expected.metric == "failures" else {}
        verdict = found(expected, 0.875, 0.75, 0.95, **shares)
        english = sentence(verdict)
        with override("tr"):
            turkish, said = expectation_sentence(expected), sentence(verdict)
        assert said != english
        assert said.count("(") == said.count(")") == 1  # pages set apart what is in parentheses
        for name in (expected.variant, expected.of):
            if name and name not in THEORY:
                assert re.search(rf"\b{name}\b(?!')", turkish)
                assert re.search(rf"\b{name}\b(?!')", said)


@pytest.mark.parametrize(
    ("english", "turkish"),
    [
        ("12 paired rounds", "12 eşli tur"),
        (
            "async_native: 3 of 20 answers failed: HTTP 500; sync: the hypervisor took 12% of the"
            " CPU",
            "async_native: 20 cevaptan 3 tanesi başarısız oldu: HTTP 500; sync: hypervisor CPU'yu"
            " %12 oranında aldı",
        ),
        ("ValueError: 3 rounds of what nobody knows", "ValueError: 3 rounds of what nobody knows"),
    ],
)
def test_reasons_of_a_result_file_are_found_again(english, turkish):
    assert reason(english) == english
    with override("tr"):
        assert reason(english) == turkish
