import os

import requests


def in_euros(amount):
    return amount * rate("EUR")


def rate(currency):
    return fetched(f"{os.environ['UPSTREAM']}/{currency}")


def fetched(url):
    answer = requests.get(url, timeout=10)  # asks
    return float(answer.text)
