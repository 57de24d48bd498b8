"""A real browser without a window: Debian's Chromium, with a camera that shows a test picture."""

import contextlib
import json
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 30
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it may run as root
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


class Browser:
    """One page in a browser, by the ids of its elements."""

    def __init__(self, driver: webdriver.Chrome):
        self.driver = driver

    def open(self, address: str, width: int = 1200, height: int = 900) -> None:
        """Opens a page in a window of so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get(address)
        self.wait(lambda: self.text("status"))

    def element(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, name: str) -> str:
        return self.element(f"#{name}").text

    def texts(self, selector: str) -> list[str]:
        """Returns the texts of all elements, as they are at one moment."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText)", selector)

    def run(self, script: str, *arguments):
        """Returns what a script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition):
        """Returns what `condition` returns as soon as it is true."""
        return WebDriverWait(self.driver, SECONDS, 0.1).until(lambda _: condition())

    def upload(self, path) -> str:
        """Chooses a file; returns the line about it when the answer is there."""
        self.element("#file").send_keys(str(path))
        return self.wait(lambda: (line := self.text("status")).startswith(f"{path.name}: ") and line)

    def errors(self) -> list[str]:
        """Returns what the console has said since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def addresses(self) -> list[str]:
        """Returns the addresses of all requests since it was last asked."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [each["params"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent]


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Starts a browser, and ends it."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.fail("no browser here: apt-get install chromium chromium-driver", pytrace=False)
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
