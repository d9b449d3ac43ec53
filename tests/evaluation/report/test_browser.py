"""The page in headless Chromium: what its script does, and what it must not do.

Needs the package playwright and a Chromium: the environment variable CHROMIUM, or one of the usual names.
"""

import os
import shutil

import pytest

from clsbench.evaluation.report import render_report, wanted_images, write_report

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright (no browser download needed)")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

#: No sandbox, since CI is root; none of Chromium's own requests.
ARGUMENTS = [
    *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63382127070002b6010534a675aa0000000049454e44ae426082"
)

EVIL = "<img src=x onerror=\"document.title='pwned'\"></script><script>document.title='pwned'</script>"


@pytest.fixture(scope="module")
def browser():
    """Chromium, where there is one."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip(f"no Chromium: set CHROMIUM to one, or install {NAMES[0]} (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, tmp_path):
    """visit(judged, …): the report in a tab; in the end, no request and no message in its console."""
    seen, contexts = [], []

    def opened(judged, *, thumbnails=None, **options):
        file = tmp_path / "report.html"
        write_report(file, judged.evaluation, judged.table, thumbnails=thumbnails)
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("dialog", lambda dialog: seen.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: seen.append(f"request: {request.url[:80]}"))
        page.goto(file.as_uri())
        assert seen.pop(0) == f"request: {file.as_uri()[:80]}"
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [entry for entry in seen if not entry.startswith("request: data:")] == []


def column(page, number):
    return page.eval_on_selector_all(
        f"#per-class tbody tr:not([hidden]) > :nth-child({number})", "cells => cells.map(cell => cell.innerText.trim())"
    )


def test_tables_sort_by_mouse_and_keyboard(visit, birds):
    page = visit(birds)
    f1 = page.locator("#per-class th", has_text="F1")
    assert f1.get_attribute("aria-sort") == "ascending"
    before = column(page, 1)
    f1.get_by_role("button").click()
    assert f1.get_attribute("aria-sort") == "descending"
    assert column(page, 1) == [*before[-2::-1], before[-1]]
    assert before[-1] == "firecrest"
    name = page.locator("#per-class th", has_text="class").first
    name.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert column(page, 1) == sorted(before)
    assert (name.get_attribute("aria-sort"), f1.get_attribute("aria-sort")) == ("ascending", "none")
    page.locator("#per-class th", has_text="images").get_by_role("button").click()
    counts = [int(text) for text in column(page, 2)]
    assert counts == sorted(counts, reverse=True)


def test_the_class_table_filters(visit, birds):
    page = visit(birds)
    page.get_by_label("Filter classes").fill(" ER")
    assert sorted(column(page, 1)) == ["bittern", "dipper", "eider"]
    assert page.locator("output").inner_text() == "3 of 6 classes"
    page.get_by_label("Filter classes").fill("")
    assert len(column(page, 1)) == 6


def test_a_click_into_the_matrix_shows_its_images(visit, birds):
    page = visit(birds)
    pair = birds.facts["metrics"]["confused_pairs"]["pairs"][0]
    row, cell = (birds.facts["classes"].index(pair[key]) for key in ("label", "predicted"))
    page.locator(f".matrix tbody tr:nth-child({row + 1}) td:nth-child({cell + 2}) button").click()
    dialog = page.locator("dialog")
    assert dialog.locator("h2").inner_text() == (
        f"{pair['count']} images of “{pair['label']}”, taken for “{pair['predicted']}”"
    )
    assert dialog.locator(".listed li").count() == pair["count"]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_the_matrix_is_one_stop_for_the_tab_key_and_arrows_move_inside(visit, birds):
    page = visit(birds)
    assert page.locator(".matrix button[tabindex='0']").count() == 1
    page.locator(".matrix button[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "“bittern”" in page.locator("dialog h2").inner_text()
    page.locator("#drill-close").click()
    page.get_by_label("in percent of the row").check()
    shares = page.locator(".matrix tbody tr").first.locator("button").all_inner_texts()
    assert 98 <= sum(map(int, shares)) <= 102


def test_from_a_class_to_a_pair_and_back(visit, birds):
    page = visit(birds, thumbnails=dict.fromkeys(wanted_images(birds.evaluation, birds.table), PIXEL))
    page.locator("#per-class tbody th button", has_text="crake").click()
    title = page.locator("dialog h2")
    assert title.inner_text() == "crake"
    page.locator("dialog .versus .link").first.click()
    assert "“crake”, taken for" in title.inner_text()
    assert page.locator("dialog .gallery img").first.is_visible()
    assert page.evaluate("document.querySelector('dialog .gallery img').naturalWidth") == 1
    page.get_by_role("button", name="Back").click()
    assert title.inner_text() == "crake"
    assert not page.get_by_role("button", name="Back").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_system_and_the_toggle(visit, birds, scheme):
    page = visit(birds, color_scheme=scheme)
    colour = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 26)"
    first, second = (light, dark) if scheme == "light" else (dark, light)
    assert page.evaluate(colour) == first
    page.locator("#theme").click()
    assert page.evaluate(colour) == second
    page.locator("#theme").click()
    assert page.evaluate(colour) == first
    page.emulate_media(media="print")
    assert page.evaluate(colour) == light


def test_on_paper_everything_is_open(visit, birds):
    page = visit(birds)
    assert page.locator("details:not([open])").count() > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_a_phone_scrolls_in_one_direction_only(visit, birds):
    page = visit(birds, viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_hostile_names_stay_text_wherever_one_clicks(visit, judge):
    classes = [EVIL, f"'\"{EVIL}", "{{ 7 * 7 }}"]
    rows = [(f"{EVIL}{k}.jpg", classes[k % 2], {classes[k % 3]: 0.9, classes[(k + 1) % 3]: 0.1}) for k in range(30)]
    judged = judge(classes, [*rows, (f"{EVIL}x", EVIL, EVIL)], {"images": EVIL, "device": {EVIL: EVIL}})
    page = visit(judged, thumbnails=dict.fromkeys(wanted_images(judged.evaluation, judged.table), PIXEL))
    for button in page.locator("main button:visible").all():
        button.hover()
        button.click()
        while page.locator("dialog").is_visible():
            page.locator("#drill-close").click()
    assert page.title() == "Evaluation of preds.csv"
    assert page.locator("img[src='x'], img[onerror]").count() == 0
    assert page.locator("script").count() == 2


def test_the_policy_stops_every_other_script(browser, birds, tmp_path):
    file = tmp_path / "report.html"
    smuggled = "<script>document.title='pwned'</script><img src='http://localhost/x'></main>"
    file.write_text(render_report(birds.evaluation, birds.table).replace("</main>", smuggled), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    refused, asked = [], []
    page.on("console", lambda message: refused.append(message.text))
    page.on("requestfinished", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    title = page.title()
    context.close()
    assert title == "Evaluation of preds.csv"
    assert len(refused) == 2
    assert all("Content Security Policy" in text for text in refused)
    assert [url for url in asked if url.startswith("http")] == []
