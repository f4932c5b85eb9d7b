"""Test the HTML page in a real browser, opened from its file.

Each test fails on an error that the browser reports, and on any request except for files.
"""

import re
import shutil
from itertools import pairwise

import pytest
from documents import make_case, make_claims, make_document
from pages import EVIL, holding

from pytest_ftcompare.report.page import contents
from pytest_ftcompare.report.page import render as page
from pytest_ftcompare.report.page.render import render

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason=f"no browser: none of {', '.join(NAMES)} is installed"
)
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="no playwright to drive the browser: it is in the extra `dev`"
)

RUNS = [
    {
        "started": f"2030-01-{day:02}T02:00:00+00:00",
        "commit": f"c0ffee{day:02}",
        "failed": False,
        "source": "gate",
    }
    for day in range(1, 11)
]
SERIES = {"runs": list(range(10)), "values": [0.8] * 5 + [0.7] * 5, "changes": [5], "accepted": [5]}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(tab, troubles):
    """Record what the browser reports, and each request except for files."""
    tab.set_default_timeout(120_000)  # against a hang
    tab.on("console", lambda one: troubles.append(one.text))
    tab.on("pageerror", lambda one: troubles.append(str(one)))
    tab.on(
        "request", lambda one: one.url.startswith(("file:", "data:")) or troubles.append(one.url)
    )
    return tab


@pytest.fixture
def opened(browser, tmp_path):
    """Open a document's page in its own window and wait until it is ready."""
    troubles, contexts = [], []

    def open_page(document, *, link="", ready=True, text=None, **options):
        file = tmp_path / "report.html"
        file.write_text(render(document) if text is None else text)
        contexts.append(
            browser.new_context(viewport={"width": 1600, "height": 900}, offline=True, **options)
        )
        tab = watched(contexts[-1].new_page(), troubles)
        tab.goto(file.as_uri() + link)
        if ready:
            tab.wait_for_selector("html[data-ready]")
        return tab

    yield open_page
    for one in contexts:
        one.close()
    assert troubles == []


@pytest.fixture
def plotless(monkeypatch):
    """Omit the plotting library, which is faster, for tests without plots."""
    monkeypatch.setattr(page, "_plotly", lambda: (page._packed(""), page._digest("")))


@pytest.fixture(scope="module")
def several():
    return make_document(40)


@pytest.fixture(scope="module")
def window(browser, several, tmp_path_factory):
    """Open one window with `several` for all tests whose changes `tab` resets."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render(several))
    troubles = []
    tab = watched(
        browser.new_context(viewport={"width": 1600, "height": 900}, offline=True).new_page(),
        troubles,
    )
    tab.goto(file.as_uri())
    tab.wait_for_selector("html[data-ready]")
    yield tab, troubles
    tab.context.close()


@pytest.fixture
def tab(window, several):
    """Return the page of `several`, unfiltered and ungrouped, with its worst case selected."""
    tab, troubles = window
    tab.get_by_label("Filter").fill("")
    tab.get_by_label("Group by").select_option("")
    for one in tab.locator(".choice[aria-pressed=true]").all():
        one.click()
    select(tab, contents.worst_cases(several)[0])
    yield tab
    assert troubles == []


def select(tab, case):
    tab.evaluate("hash => { location.hash = hash; }", link(case))
    sync_api.expect(tab.locator("#case-title")).to_have_text(case["id"])


def shown(tab, column):
    """Return the texts of a column of the table of cases, from top to bottom."""
    return tab.eval_on_selector_all(
        f"#table tr[data-key] > :nth-child({column})",
        "cells => cells.map((one) => one.innerText.trim())",
    )


def title(tab):
    return tab.text_content("#case-title")


def wait_for_title(tab, text, same=True):
    """Wait until the page shows a case: it selects one when the browser reports the new address."""
    heading = sync_api.expect(tab.locator("#case-title"))
    heading.to_have_text(text) if same else heading.not_to_have_text(text)


def link(case):
    return contents.link(case)


def named(document, verdict):
    return next(one for one in document["cases"] if one["verdict"] == verdict)


def test_it_opens_with_its_plots_and_the_worst_case(opened, several):
    tab = opened(several)
    assert tab.title().startswith("Failed: ftcompare pocket")
    assert tab.inner_text("h1") == "Failed"
    assert tab.locator("#table tr[data-key]").count() == 40
    assert tab.locator("#plots .main-svg").count() >= 2
    assert tab.locator("#scatter .points path").count() > 4
    assert title(tab) == contents.worst_cases(several)[0]["id"]


def test_a_columns_head_sorts_and_reverses(tab, several):
    button = tab.get_by_role("button", name="Accuracy %")
    button.click()
    values = [float(one) for one in shown(tab, 5) if one]
    assert values == sorted(values) and len(values) > 30
    assert shown(tab, 5)[len(values) :] == [""] * (40 - len(values))
    assert tab.get_attribute("#table th[data-name=accuracy]", "aria-sort") == "ascending"
    button.press("Enter")
    assert [float(one) for one in shown(tab, 5) if one] == values[::-1]
    assert tab.get_attribute("#table th[data-name=accuracy]", "aria-sort") == "descending"
    tab.get_by_role("button", name="Task").click()
    assert shown(tab, 3) == sorted(shown(tab, 3))
    assert tab.locator("#table [aria-sort]").count() == 1


def test_shifts_sort_by_their_sign_and_sizes_by_their_amount(tab, several):
    tab.get_by_role("button", name="Δ pt").first.click()
    shifts = [
        0.0 if one in ("=", "identical") else float(one.split()[0].replace("−", "-"))
        for one in shown(tab, 6)
        if one
    ]
    assert shifts == sorted(shifts) and shifts[0] < 0 < shifts[-1]
    tab.get_by_role("button", name="Trainable").click()
    amounts = tab.eval_on_selector_all(
        "#table td:nth-child(11)[data-v]", "cells => cells.map((one) => Number(one.dataset.v))"
    )
    assert amounts == sorted(amounts)


def test_words_and_verdicts_filter_the_table(tab, several):
    tab.get_by_label("Filter").fill("LoRA mnli")
    assert {*shown(tab, 2)} == {"lora"} and {*shown(tab, 3)} == {"pocket_mnli"}
    assert tab.inner_text("#shown") == f"{len(shown(tab, 2))} of 40 cases"
    tab.get_by_label("Filter").fill("")
    worse, better = (tab.locator(f".choice[data-verdict={one}]") for one in ("worse", "better"))
    worse.click()
    better.press("Space")
    assert {*shown(tab, 1)} == {"worse", "better"}
    assert worse.get_attribute("aria-pressed") == "true"
    worse.click()
    assert {*shown(tab, 1)} == {"better"}
    tab.get_by_label("Filter").fill("nothing has this name")
    assert shown(tab, 1) == [] and tab.inner_text("#shown") == "0 of 40 cases"


@pytest.mark.parametrize(
    ("name", "groups"), [("method", 5), ("task", 2), ("suite", 1), ("model", 1)]
)
def test_cases_are_grouped(tab, name, groups):
    tab.get_by_label("Group by").select_option(name)
    assert tab.locator("#table .group").count() == groups
    assert tab.locator("#table tr[data-key]").count() == 40
    assert re.search(r"\d+ worse", tab.locator("#table .group").first.inner_text())


def test_a_click_on_a_row_selects_its_case(tab, several):
    case = named(several, "better")
    tab.locator(f'tr[data-key="{contents.key(case)}"] td').nth(2).click()
    wait_for_title(tab, case["id"])
    assert tab.evaluate("location.hash") == link(case)
    assert tab.locator("#table [aria-current]").count() == 1
    assert tab.locator("#case .main-svg").count() >= 3
    assert "Accuracy out of domain" in tab.inner_text("#case")
    tab.get_by_role("button", name="Next →").click()
    wait_for_title(tab, case["id"], same=False)
    tab.get_by_role("button", name="← Previous").click()
    wait_for_title(tab, case["id"])


def test_the_keyboard_selects_a_case(tab):
    tab.locator("#table tbody a").first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("Enter")
    second = tab.locator("#table tr[data-key]").nth(1)
    suite = second.locator("td").last.inner_text()
    wait_for_title(tab, second.get_attribute("data-key").removeprefix(f"{suite}/"))
    assert tab.evaluate("document.activeElement.id") == "case-title"


def test_a_link_selects_its_case(opened, several, plotless):
    case = named(several, "undecided")
    assert title(opened(several, link=link(case))) == case["id"]


@pytest.mark.parametrize("bad", ["#case=few_shot%2Fgone", "#case=%E0%A4%A", "#case="])
def test_a_link_to_no_case_shows_the_worst(opened, several, plotless, bad):
    assert title(opened(several, link=bad)) == contents.worst_cases(several)[0]["id"]


def test_a_click_on_a_point_selects_its_case(tab, several):
    point = tab.locator("#scatter .points path").first
    point.scroll_into_view_if_needed()
    before = tab.url
    box = point.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_selector("#scatter .hovertext")
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    sync_api.expect(tab).not_to_have_url(before)
    assert tab.evaluate("location.hash") == tab.evaluate(
        "'#case=' + encodeURIComponent(document.querySelector('tr.picked').dataset.key)"
    )


def test_the_pareto_front_has_the_cases_that_no_other_case_beats(tab, several):
    tab.get_by_role("combobox", name="Against").select_option("trainable")
    tab.locator("#scatter summary").click()
    rows = tab.eval_on_selector_all(
        "#scatter tbody tr",
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.innerText))",
    )
    points = [
        (float(score.split()[0]), float(cost.replace(",", "")), front)
        for _, score, cost, front, _ in rows
    ]
    beaten = [
        any((a >= x and b < y) or (a > x and b <= y) for a, b, _ in points) for x, y, _ in points
    ]
    assert len(points) > 4
    assert [front for _, _, front in points] == ["" if one else "yes" for one in beaten]


def test_every_choice_draws_every_plot(tab, several):
    for list_ in tab.locator("#plots select").all():
        for value in list_.locator("option").evaluate_all(
            "options => options.map((one) => one.value)"
        ):
            list_.select_option(value)
            assert tab.locator("#plots .main-svg").count() >= 2


def test_a_case_of_every_verdict_is_shown(tab, several):
    for verdict in contents.VERDICTS:
        case = named(several, verdict)
        select(tab, case)
        assert case["rerun"] in tab.inner_text("#case")


def test_commands_are_copied(tab):
    button = tab.get_by_role("button", name="Copy: Run it again")
    button.click()
    sync_api.expect(tab.locator(".command button").first).to_have_text("Copied")


def test_a_case_shows_its_history_and_a_case_without_data_is_shown(opened):
    case, bare, icl = (
        make_case("worse"),
        make_case("invalid", shots=2, baseline=None),
        make_case("same", method="icl"),
    )
    history = {
        "runs": RUNS,
        "series": {contents.key(case): {"accuracy": SERIES, "loss": SERIES | {"changes": []}}},
    }
    tab = opened(holding(case, bare, icl, history=history), link=link(case))
    assert (
        "1 change point: 80.0 % → 70.0 % from 2030-01-06 (c0ffee06). 1 accepted change."
        in tab.inner_text("#case")
    )
    tab.get_by_label("Metric").select_option("loss")
    assert "No change point." in tab.inner_text("#case")
    for one in (bare, icl):
        select(tab, one)
        assert "Training loss" not in tab.inner_text("#case")


def test_dark_and_light_follow_the_readers_choice(tab):
    background = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('#scatter .textpoint text')).fill"
    light = tab.evaluate(background), tab.evaluate(ink)
    tab.emulate_media(color_scheme="dark")
    sync_api.expect(tab.locator("#scatter .textpoint text").first).not_to_have_css("fill", light[1])
    dark = tab.evaluate(background), tab.evaluate(ink)
    tab.emulate_media(color_scheme="light")
    paper, text = (
        [sum(map(int, re.findall(r"\d+", one)[:3])) for one in pair]
        for pair in zip(dark, light, strict=True)
    )
    assert paper[0] < 150 < 600 < paper[1]
    assert text[1] < 150 < 600 < text[0]


def test_print_has_the_table_and_the_case_and_no_controls(tab):
    tab.emulate_media(color_scheme="dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [tab.is_visible(one) for one in ("#controls", "#plots", "#case button")] == [False] * 3
    assert [
        tab.is_visible(one) for one in ("h1", "#table", "#table th .paper >> nth=0", "#case-title")
    ] == [True] * 4
    assert tab.locator("#case .main-svg").first.bounding_box()["width"] == 330
    tab.emulate_media(media="screen", color_scheme="light")
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.is_visible("#controls")
    assert tab.pdf()[:4] == b"%PDF"


def test_a_case_that_is_accepted_for_a_while_says_until_when_and_why(opened, plotless):
    entry = {
        "case": "lora-*",
        "suite": "*",
        "what": "accuracy",
        "at_most": 0.1,
        "owner": EVIL,
        "reason": "it is being repaired",
        "link": "https://example.org/7",
        "expires": "2030-01-31",
    }
    beside = entry | {"state": "covers", "size": 0.08, "valid": True}
    case = make_case("worse", failed=False, allowed=True, allowances=[beside], uncovered=[])
    states = [entry | {"state": "accepted", "cases": [contents.key(case)]}]
    tab = opened(holding(case, failed=False, allowances=states), link=link(case))
    panel = tab.locator("#case")
    assert panel.locator(".case-head .verdict").inner_text() == "worse, accepted for a while"
    text = panel.inner_text()
    assert "accepted until 2030-01-31: accuracy (8.00 pt of at most 10 pt); owner " in text
    assert "https://example.org/7 (it is being repaired)" in text
    banner = tab.locator("header").inner_text()
    assert "1 case accepted for a while." in banner
    assert "accuracy of lora-*: accepted until 2030-01-31 in 1 case" in banner
    assert tab.locator("img").count() == 0


def test_names_with_markup_do_no_harm(opened):
    names = [f"{EVIL}{number}" for number in range(3)]
    cases = [
        make_case("worse", shots=shots) | {"id": name, "method": name}
        for name, shots in zip(names, (2, 2, 4), strict=True)
    ]
    told = {"divergences": [EVIL], "notes": [EVIL], "rerun": EVIL, "options": {EVIL: EVIL}}
    series = {contents.key(cases[0]): {EVIL: SERIES, "accuracy": SERIES}}
    runs = [one | {"commit": EVIL} for one in RUNS]
    tab = opened(
        holding(
            cases[0] | told, *cases[1:], findings=[EVIL], history={"runs": runs, "series": series}
        )
    )
    assert title(tab) == names[0].replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    for row in tab.locator("#table tr[data-key]").all():
        row.locator("a").click()
    tab.get_by_label("Group by").select_option("method")
    for point in tab.locator("#scatter .points path").all():
        point.hover(force=True)
    assert tab.evaluate("'hacked' in window") is False
    assert tab.locator("img").count() == 0


def test_a_thousand_cases(opened, plotless):
    document = make_document(1000)
    tab = opened(document)
    assert tab.locator("#table tr[data-key]").count() == 1000
    tab.get_by_role("button", name="Accuracy %").click()
    values = [float(one) for one in shown(tab, 5) if one]
    assert values == sorted(values)
    tab.get_by_label("Group by").select_option("suite")
    assert tab.locator("#table .group").count() == 2
    tab.get_by_label("Filter").fill("opt-0.4m n128")
    assert 0 < len(shown(tab, 1)) < 100
    tab.locator("#table tbody a").last.click()
    wait_for_title(tab, re.compile("-opt-0.4m-n128"))


def test_no_case(opened, plotless):
    tab = opened(make_document(0, claims=[]))
    assert tab.inner_text("h1") == "Passed"
    assert tab.is_hidden("#case") and tab.locator("#plots").count() == 0


def test_one_number_of_shots_draws_no_empty_plot(opened):
    tab = opened(holding(make_case("same"), make_case("better", method="full")))
    assert "No method was run with more than one number of shots." in tab.inner_text("#shots")
    assert (
        tab.locator("#shots .canvas").count() == 0 and tab.locator("#scatter .canvas").count() == 1
    )


def test_only_claims(opened, plotless):
    tab = opened(make_document(0, claims=make_claims([]), failed=True))
    assert tab.locator("#claims tbody tr:visible").count() == 4
    tab.get_by_text("1 claim held").click()
    assert tab.locator("#claims tbody tr:visible").count() == 5


def test_without_scripts_the_banner_and_the_tables_are_there(opened, several):
    tab = opened(several, ready=False, java_script_enabled=False)
    assert tab.is_visible(".notice")
    assert tab.locator("#table tr[data-key]:visible").count() == 40
    assert tab.is_hidden("#controls") and tab.is_hidden("#plots")
    assert tab.locator("#claims tbody tr:visible").count() == 4


def test_without_the_plotting_library_tables_have_the_data(opened, several):
    broken = re.sub(
        '(<script type="application/gzip" id="plotly">).*?(</script>)',
        r"\1AAAA\2",
        render(several),
        flags=re.DOTALL,
    )
    tab = opened(several, text=broken)
    assert "The plots cannot be drawn in this browser" in tab.inner_text("#plots")
    tab.get_by_role("button", name="Accuracy %").click()
    assert tab.get_attribute("#table th[data-name=accuracy]", "aria-sort") == "ascending"
    tab.locator("#scatter summary").click()
    assert tab.locator("#scatter tbody tr").count() > 4


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_is_as_wide_as_its_window(tab, width):
    tab.set_viewport_size({"width": width, "height": 900})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.set_viewport_size({"width": 1600, "height": 900})


def test_every_element_has_an_accessible_name(tab, several):
    select(tab, named(several, "worse"))
    assert tab.locator("table:not(:has(caption))").count() == 0
    assert tab.locator("th:not([scope])").count() == 0
    assert tab.locator(".canvas:not([role=img][aria-label])").count() == 0
    assert tab.locator("figure:not(:has(details table))").count() == 0
    nameless = (
        "controls => controls.filter((control) => !control.labels?.length "
        "&& !control.textContent.trim() && !control.ariaLabel).length"
    )
    assert tab.eval_on_selector_all("button, input, select", nameless) == 0
    levels = tab.eval_on_selector_all(
        "h1, h2, h3", "heads => heads.map((one) => Number(one.tagName[1]))"
    )
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def test_focus_is_visible(opened, several, plotless):
    tab = opened(several)
    tab.keyboard.press("Tab")
    assert tab.inner_text(":focus") == "Skip to the cases"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
