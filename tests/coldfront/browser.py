"""A browser, as people use one: headless chromium of Debian, driven by Selenium.

Promises: what is looked for is waited for, and what is not found is told with the page's text.
$PROVISIONER_SCREENSHOTS names a directory that is to have the pictures. Leaves out: what is where
on ColdFront's pages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException, TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.ui import Select, WebDriverWait

SECONDS = 60
"""How long a page may take; a machine that has much to do is no failure."""

WIDTHS = (1400, 400)
"""The pixels of a window on a desk, and of a phone: no page may need more."""

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,1000",
    "--hide-scrollbars",
)


def gone(element: Any) -> Callable[[Any], bool]:
    """Return a condition: the page of an element has been left."""

    def is_gone(driver: Any) -> bool:
        try:
            return bool(until.staleness_of(element)(driver))
        except WebDriverException as error:
            # The page was exchanged between two steps of Chromium's driver: "unhandled inspector
            # error: ... Node with given id does not belong to the document".
            if "does not belong to the document" in str(error.msg):
                return True
            raise

    return is_gone


@dataclass
class Browser:
    """One window on one site."""

    driver: Any
    site: str

    @classmethod
    @contextmanager
    def at(cls, site: str, profile: Path) -> Iterator[Browser]:
        """Open a window; profile: a new directory for what the browser keeps."""
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = webdriver.ChromeService("/usr/bin/chromedriver")
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_page_load_timeout(SECONDS)
        try:
            yield cls(driver, site)
        finally:
            driver.quit()

    def open(self, path: str) -> None:
        self.driver.get(self.site + path)

    def log_in(self, name: str) -> None:
        """Become a user of ColdFront's test data, whoever was logged in before."""
        self.driver.delete_all_cookies()
        self.open("/user/login")
        self.fill_in("username", name)
        self.fill_in("password", "test1234")
        self.press("Log In")
        self.find(By.LINK_TEXT, name)

    def find(self, by: str, what: str) -> Any:
        """Wait until something can be seen."""
        return self._wait(until.visibility_of_element_located((by, what)), what)

    def fill_in(self, name: str, value: str) -> None:
        """Type into a field of a form."""
        field = self.find(By.NAME, name)
        field.clear()
        field.send_keys(value)

    def choose(self, name: str, text: str) -> None:
        """Choose from a list that a form shows, by how the entry begins."""
        field = Select(self._wait(until.presence_of_element_located((By.NAME, name)), name))
        [entry] = [one.text for one in field.options if one.text.strip().startswith(text)]
        field.select_by_visible_text(entry)

    def tick(self, text: str) -> None:
        """Tick the box in the row of a table that says something."""
        row = f"//tr[td[normalize-space()='{text}']]"
        self._click(self.find(By.XPATH, f"{row}//input[@type='checkbox']"))

    def tick_all(self, name: str) -> None:
        """Tick every box of a list that a form shows."""
        self.find(By.NAME, name)
        for box in self.driver.find_elements(By.NAME, name):
            self._click(box)

    def press(self, text: str) -> None:
        """Press a button that leads to another page; what is asked then is confirmed."""
        button = self.press_here(text)
        with suppress(NoAlertPresentException):
            self.driver.switch_to.alert.accept()
        self._wait(gone(button), f"the page after {text!r}")

    def press_here(self, text: str) -> Any:
        """Press a button; give it."""
        button = self.find(
            By.XPATH,
            f"//button[normalize-space()='{text}'] | //input[@type='submit' and @value='{text}']",
        )
        self._click(button)
        return button

    def text(self) -> str:
        """Give what the page says."""
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def rows(self, within: str) -> list[list[str]]:
        """Read a table: the words of each cell; within: an XPath of what the table is in."""
        self.find(By.XPATH, f"{within}//table")
        lines = self.driver.find_elements(By.XPATH, f"{within}//table/tbody/tr")
        return [
            [str(cell.text) for cell in line.find_elements(By.XPATH, "./th | ./td")]
            for line in lines
        ]

    def keep(self, name: str) -> None:
        """Look at the page on a desk and on a phone; keep pictures where somebody wants some."""
        for width in WIDTHS:
            self._resize(width, 1000)
            needed, height = self.driver.execute_script(
                "var all = document.documentElement; return [all.scrollWidth, all.scrollHeight]"
            )
            assert needed <= width, f"{name} needs {needed} pixels and has {width}"
            if "PROVISIONER_SCREENSHOTS" in os.environ:
                target = Path(os.environ["PROVISIONER_SCREENSHOTS"])
                target.mkdir(parents=True, exist_ok=True)
                self._resize(width, max(600, height))
                self.driver.save_screenshot(str(target / f"{name}-{width}.png"))
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def _resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def _click(self, element: Any) -> None:
        """Click what may lie below what the window shows."""
        # Bootstrap scrolls smoothly: a click would hit what lay there meanwhile.
        where = "{block: 'center', behavior: 'instant'}"
        self.driver.execute_script(f"arguments[0].scrollIntoView({where})", element)
        element.click()

    def _wait(self, condition: Callable[[Any], Any], what: str) -> Any:
        try:
            return WebDriverWait(self.driver, SECONDS).until(condition)
        except TimeoutException:
            where = f"{self.driver.current_url}: {what} is not there; the page says:\n"
            raise AssertionError(where + self.text()) from None
