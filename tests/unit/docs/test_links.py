"""Links of the pages."""

from __future__ import annotations

import pytest

from tests.unit.docs.pages import Page, pages

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_resolve(page: Page) -> None:
    """Every relative link names a file that exists and a heading that the file has."""
    broken = []
    for link in page.links:
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        if not target.exists() or (anchor and anchor not in Page(target).anchors):
            broken.append(link)
    assert broken == []
