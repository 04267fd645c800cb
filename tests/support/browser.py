"""Debian's Chromium, headless, driven by selenium: what a person would see and do."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_core_python
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

BROWSER, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
_QUIET = (
    "--headless=new",
    "--no-sandbox",  # the tests of continuous integration run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def missing() -> str:
    """Return what is missing to open a browser; "" when nothing is."""
    absent = [path.name for path in (BROWSER, DRIVER) if not path.exists()]
    return f"{' and '.join(absent)} missing: apt-get install chromium chromium-driver" if absent else ""


class Page:
    """One browser window.

    Args:
        driver: What drives it.
    """

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Go to an address."""
        self._driver.get(url)

    def reload(self) -> None:
        """Load the page anew."""
        self._driver.refresh()

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self._driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """Return the text of the first element that a selector finds; "" when it finds none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def click(self, selector: str) -> None:
        """Click on the first element that a selector finds, as a person would see it."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self._driver.find_element("css selector", selector).click()

    def fill(self, selector: str, text: str) -> None:
        """Replace the text of a field."""
        field = self._driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            self._driver.switch_to.active_element.send_keys(key)

    def wait(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until a condition holds.

        Raises:
            TimeoutException: It does not in time.
        """
        WebDriverWait(self._driver, seconds, poll_frequency=0.1).until(lambda _: condition())

    def errors(self) -> list[str]:
        """Return what the console calls an error, since the last call."""
        entries = self._driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, path: Path) -> None:
        """Write a picture of the window."""
        self._driver.save_screenshot(str(path))

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def darken(self, dark: bool) -> None:
        """Ask for dark or light colours, as the system would."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def accessibility_faults(self) -> list[str]:
        """Return what axe finds wrong, one line a fault."""
        script = Path(axe_core_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
        self._driver.execute_cdp_cmd("Runtime.evaluate", {"expression": script})
        found = self._driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
            ".then((result) => done(result.violations));"
        )
        return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


@contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Open a window of a browser of its own, with a profile that is gone afterwards."""
    profile = tempfile.mkdtemp(prefix="chromium-")
    options = Options()
    options.binary_location = str(BROWSER)
    for argument in (*_QUIET, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(DRIVER)))
    try:
        page = Page(driver)
        page.resize(width, height)
        yield page
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
