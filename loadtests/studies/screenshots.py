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
from project.processes import BASE_DIR

django.setup()

from loadtests.running import servers  # noqa: E402
from project import services  # noqa: E402
from project.deployments import DEPLOYMENTS  # noqa: E402
from project.services import schema  # noqa: E402

PICTURES = BASE_DIR / "comparisons" / "static" / "comparisons"
WINDOW: ViewportSize = {"width": 1200, "height": 860}
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
    page.goto(f"/{SLUG}/?left=async_blocking&right=async_native")
    scroll_to(page, "#views")
    save(page, "page-comparison")


def live_try(page: Page) -> None:
    page.goto(f"/{SLUG}/")
    page.get_by_role("button", name="Try", exact=True).click()
    page.locator(".said").get_by_text("Answered by").wait_for()
    scroll_to(page, "#try")
    save(page, "page-try")


def scroll_to(page: Page, selector: str) -> None:
    page.locator(selector).evaluate("element => element.scrollIntoView()")
    page.wait_for_load_state("networkidle")
    # Pictures are loaded when they come into sight.
    page.wait_for_function("[...document.images].every(i => i.complete || i.loading == 'lazy')")
    page.wait_for_timeout(1000)


def save(page: Page, name: str) -> None:
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    command.run(main)
