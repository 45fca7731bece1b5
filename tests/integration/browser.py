# SPDX-License-Identifier: Apache-2.0
"""
Debian's Chromium, without a window, by the WebDriver protocol (W3C WebDriver, and Chromium's own
commands of it): one session with an empty profile, ended with all that it started.

    with browser.Browser(folder) as page:
        page.open("http://127.0.0.1:8080/")
        assert page.run("return document.title") == "vpcflowd"
        page.picture("page.png")
"""
import base64
import json
import os
import re
import subprocess
import urllib.request

import harness

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--disable-dev-shm-usage", "--hide-scrollbars")
PORT = re.compile(r"started successfully on port (\d+)")


class Browser:
    def __init__(self, folder, width=1280, height=1500):
        self.folder = str(folder)
        self.size = (width, height)
        self.driver = self.session = self.url = None

    def __enter__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, cwd=self.folder)
        try:
            self.url = f"http://127.0.0.1:{self._port()}"
            arguments = [*OPTIONS, f"--window-size={self.size[0]},{self.size[1]}",
                         f"--user-data-dir={os.path.join(self.folder, 'profile')}"]
            wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments},
                      "goog:loggingPrefs": {"browser": "ALL"}}
            answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self.session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        try:
            if self.session is not None:
                self._ask("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(harness.WAIT)
            self.driver.stdout.close()

    def _port(self):
        for line in self.driver.stdout:
            found = PORT.search(line)
            if found:
                return int(found.group(1))
        raise AssertionError("chromedriver did not start")

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=harness.WAIT) as answer:
            return json.loads(answer.read())["value"]

    def _do(self, command, **arguments):
        return self._ask("POST", f"{self.session}/{command}", arguments)

    def open(self, url):
        self._do("url", url=url)

    def run(self, script, *arguments):
        """What the body of a function returns in the page."""
        return self._do("execute/sync", script=script, args=arguments)

    def tell(self, command, **parameters):
        """A command of the DevTools protocol."""
        return self._do("goog/cdp/execute", cmd=command, params=parameters)

    def complaints(self):
        """What the console got since it was last asked: errors, and what the policy forbade."""
        return [entry["message"] for entry in self._do("se/log", type="browser")
                if entry["level"] in ("SEVERE", "WARNING")]

    def show(self, width, height, scheme, scale=1):
        """As on a screen of that size, with a light or a dark scheme."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)
        self.tell("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        """All of the page, as PNG."""
        size = self.tell("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"],
                               "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def settle(self):
        """Once the page has drawn what the listener said."""
        harness.wait_for("numbers on the page",
                         lambda: self.run("return document.querySelector('#status').className") != "status waiting")
