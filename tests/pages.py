"""Reads a page as a browser would, without one."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects tags, their attributes, the addresses that a browser would fetch, and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.elements, self.addresses, self.text = [], [], [], ""
        self._hidden = None
        self.feed(text)
        # Styles and drawings name addresses too.
        self.addresses += re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.elements.append((tag, dict(attributes)))
        self._hidden = tag if tag in ("script", "style") else None
        names = ("src", "srcset", "href", "xlink:href", "action", "poster", "data")
        self.addresses.extend(value for name, value in attributes if name in names and value)

    def handle_endtag(self, tag):
        self._hidden = None

    def handle_data(self, data):
        if not self._hidden:
            self.text += data

    @property
    def rows(self):
        """The data of the rows that are sorted, in the order in which they are written."""
        return [
            {name.removeprefix("data-"): value for name, value in attributes.items() if name.startswith("data-")}
            for _, attributes in self.elements
            if "data-find" in attributes
        ]

    def stands_alone(self):
        """Tells whether no address lies outside of the page."""
        return all(address.startswith(("data:", "#")) for address in self.addresses)
