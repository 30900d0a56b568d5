"""The README's pictures of the pages; `python -m loadtests.studies.screenshots` remakes them.

The pages as asgi-uvicorn serves them, with the results that are there, in Debian's chromium.
"""

from project import command

if __name__ == "__main__":
    command.begin()

import shutil

import django
from playwright.sync_api import Page, ViewportSize, sync_playwright

from project.errors import FatalError

django.setup()

from loadtests.reporting.reference import PICTURES  # noqa: E402
from loadtests.running import servers  # noqa: E402
from project import services  # noqa: E402
from project.deployments import DEPLOYMENTS  # noqa: E402
from project.services import schema  # noqa: E402

WINDOW: ViewportSize = {"width": 1200, "height": 900}
SLUG = "blocking-call"


def main() -> None:
    chromium = shutil.which("chromium")
    if not chromium:
        raise FatalError("chromium is not installed (Debian: apt-get install chromium)")
    with services.running(), sync_playwright() as playwright:
        schema.ensure()
        with servers.serving([DEPLOYMENTS["asgi-uvicorn"]]) as (server,):
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport=WINDOW, base_url=server.url, locale="en")
            index(page)
            comparison(page)
            live_try(page)
            browser.close()


def index(page: Page) -> None:
    page.goto("/")
    scroll_to(page, "#group-2")  # past what is text only
    save(page, "page-index")


def comparison(page: Page) -> None:
    page.goto(f"/{SLUG}/")
    scroll_to(page, "#views")
    save(page, "page-comparison")


def live_try(page: Page) -> None:
    page.goto(f"/{SLUG}/")


def scroll_to(page: Page, selector: str) -> None:
    page.locator(selector).evaluate("element => element.scrollIntoView()")
    page.wait_for_load_state("networkidle")  # pictures that are loaded when they come into sight


def save(page: Page, name: str) -> None:
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    command.run(main)
