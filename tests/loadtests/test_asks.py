"""Requests of the reader's: how they are written, what is refused, and the order of a mix."""

import json
from itertools import islice, pairwise

import pytest

from loadtests.asks import Ask, AskError, asks_of, mixed, read_requests, shares

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def order(asks, count):
    return "".join(ask.path[1] for ask in islice(mixed(asks), count))


def test_mix_is_interleaved_by_weight():
    asks = [Ask("/a", weight=5), Ask("/b"), Ask("/c")]
    assert order(asks, 14) == "aabacaa" * 2


def test_mix_with_fractions_comes_as_often_as_they_say_and_never_in_bunches():
    served = order([Ask("/a", weight=0.7), Ask("/b", weight=0.3)], 100)
    assert served.count("a") == 70
    assert ("b", "b") not in pairwise(served)


def test_shares_of_one_name_are_added_up():
    asks = [Ask("/a", "POST", body=b"1"), Ask("/a", "POST", body=b"2"), Ask("/b", weight=2)]
    assert shares(asks) == {"POST /a": 0.5, "GET /b": 0.5}


@pytest.mark.parametrize(
    ("url", "path", "weight"),
    [
        ("/orders/?page=2&q=a%20b", "/orders/?page=2&q=a%20b", 1),
        ("3 /orders/?id=3", "/orders/?id=3", 3),
        ("0.5 /", "/", 0.5),
        ("/ürün/", "/%C3%BCr%C3%BCn/", 1),
        ("/a|b/", "/a%7Cb/", 1),
        ("http://localhost:8000/orders/?x=1", "/orders/?x=1", 1),
        ("http://127.0.0.1", "/", 1),
    ],
)
def test_url_with_its_weight(url, path, weight):
    assert asks_of([url]) == [Ask(path, weight=weight)]


def test_headers_cookies_and_body_are_of_every_url():
    asks = asks_of(["/a", "/b"], "post", ["X-Token: a:b"], ["session=1", "lang=tr"], '{"id": 1}')
    headers = {"X-Token": "a:b", "Cookie": "session=1; lang=tr", **JSON}
    assert asks == [Ask(path, "POST", headers, b'{"id": 1}') for path in ("/a", "/b")]


def test_body_of_a_file_is_a_form_unless_its_header_says_what_it_is(tmp_path):
    (tmp_path / "body").write_bytes(b"a=1")
    at = f"@{tmp_path / 'body'}"
    assert asks_of(["/"], "POST", body=at) == [Ask("/", "POST", FORM, b"a=1")]
    own = {"content-type": "text/csv"}
    assert asks_of(["/"], "POST", ["content-type: text/csv"], body=at)[0].headers == own


def test_like_requests_are_one_with_the_weight_of_both():
    assert asks_of(["2 /a", "/b", "/a"]) == [Ask("/a", weight=3), Ask("/b")]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"urls": ["orders/"]}, "'orders/' is no path of the project: it begins with /"),
        (
            {"urls": ["https://shop.example/o/?x"]},
            "another host: the measured servers run here, so",
        ),
        ({"urls": ["//shop.example/o/"]}, "so ask for /o/"),
        ({"urls": ["http://[/"]}, "is no URL"),
        ({"urls": ["/a b/"]}, "has a space"),
        ({"urls": ["/a\r\nX: 1"]}, "has a space"),
        ({"urls": ["/a#b"]}, "has a #"),
        ({"urls": ["0 /a"]}, "the weight 0.0 is no number above 0"),
        ({"urls": ["/" + "a" * 5000]}, "too long"),
        ({"method": "FETCH"}, "the method 'FETCH' is none of GET, HEAD"),
        ({"body": "a=1"}, "a GET has no body: say the method"),
        ({"method": "POST", "body": "@/no/such"}, "/no/such cannot be read: No such file"),
        ({"headers": ["X-Token"]}, "has no colon"),
        ({"headers": ["X Token: 1"]}, "a name that none can have"),
        ({"headers": ["X: 1\r\nY: 2"]}, "has the end of a line in it"),
        ({"headers": ["X: 1", "x: 2"]}, "the header 'x' is given twice"),
        ({"headers": ["X: ☃"]}, "not in Latin-1"),
        ({"headers": ["X: " + "a" * 9000]}, "has 9000 bytes"),
        ({"headers": ["Content-Length: 3"]}, "the client's own business"),
        ({"cookies": ["session"]}, "is not 'name=value'"),
        ({"cookies": ["a=1; b=2"]}, "none can have"),
        ({"cookies": ["a=1"], "headers": ["Cookie: b=2"]}, "use one of both"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_a_line(arguments, problem):
    with pytest.raises(AskError) as refused:
        asks_of(**{"urls": ["/"], **arguments})
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_requests_of_lines(tmp_path):
    file = tmp_path / "requests"
    file.write_text("# what the shop does\n\nGET /orders/ 3\n/cart/\npost /pay/ 0.5\n")
    assert read_requests(file) == [
        Ask("/orders/", weight=3),
        Ask("/cart/"),
        Ask("/pay/", "POST", weight=0.5),
    ]


def test_requests_of_json_and_what_the_options_add(tmp_path):
    file = tmp_path / "requests.json"
    requests = [
        {"url": "/orders/", "weight": 3, "headers": {"cookie": "session=2"}},
        {"url": "/pay/", "method": "POST", "body": {"id": 1}},
        {"url": "/form/", "method": "POST", "body": "id=1"},
    ]
    file.write_text(json.dumps(requests, indent=1))
    session = {"Cookie": "session=1"}
    assert asks_of([], cookies=["session=1"], requests=file) == [
        Ask("/orders/", headers={"cookie": "session=2"}, weight=3),
        Ask("/pay/", "POST", {**session, **JSON}, b'{"id": 1}'),
        Ask("/form/", "POST", {**session, **FORM}, b"id=1"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("GET /a\nGET /b three\n", 2, "the weight 'three' is no number"),
        ("GET /a 1 2\n", 1, "is no line like 'GET /orders/ 3'"),
        ("\nFETCH /a\n", 2, "the method 'FETCH' is none of"),
        ("GET https://shop.example/a\n", 1, "of another host"),
        ("# nothing\n", 1, "it has no requests"),
        ("", 1, "it has no requests"),
        ("[]", 1, "it has no requests"),
        ("GET /a\n\xff", 2, "it is no text in UTF-8"),
        ('[\n {"url": "/a"},\n {"url": "/b",}\n]', 3, "it is no JSON: "),
        ('[{"url": "/a"}\n {"url": "/b"}]', 2, "a comma or ] is expected"),
        ('[{"url": "/a"}', 1, "a comma or ] is expected"),
        ('[{"url": "/a"}]\nGET /b', 2, "something stands after the end of the list"),
        ("[" * 100_000, 1, "it is no list of requests"),
        ('["/a"]', 1, '"/a" is no request: that is an object with a url'),
        ('[{"url": "/a"},\n{"path": "/b"}]', 2, "a request has no 'path'; it has url, method"),
        ('[{"method": "GET"}]', 1, "it has no url"),
        ('[{"url": 3}]', 1, "the url 3 is no text"),
        ('[{"url": "/a", "headers": {"X": 1}}]', 1, "they are an object of names and texts"),
        ('[{"url": "/a", "weight": true}]', 1, "the weight True is no number"),
        ('[{"url": "/a", "weight": NaN}]', 1, "the weight nan is no number"),
        ('[{"url": "/a", "body": "x"}]', 1, "a GET has no body"),
    ],
)
def test_what_is_wrong_in_a_file_is_a_line_with_its_place(tmp_path, text, line, problem):
    file = tmp_path / "requests"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(AskError) as refused:
        read_requests(file)
    assert str(refused.value).startswith(f"{file}:{line}: ")
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(AskError, match="requests: cannot be read: No such file or directory"):
        read_requests(tmp_path / "requests")


def test_ask_survives_the_order_of_a_round():
    ask = Ask("/a", "POST", {"X": "é"}, bytes(range(256)), 2)
    assert Ask.from_row(json.loads(json.dumps(ask.as_row()))) == ask
