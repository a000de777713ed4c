"""The wiki of the repository, as pages."""

import asyncio
import itertools
import re
from importlib.resources import files
from typing import Any

from aiohttp import web
from markdown_it import MarkdownIt
from markdown_it.token import Token

from web.viewer import find_viewer, show

routes = web.RouteTableDef()

WIKI = files("wiki")
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


@routes.get("/wiki")
@routes.get("/wiki/{page}")
async def wiki(request: web.Request) -> web.Response:
    """Show a page of the wiki."""
    name = request.match_info.get("page", "index")
    pages = await asyncio.to_thread(_read_all)
    if name not in pages:
        raise web.HTTPNotFound(text="The wiki has no such page.")
    titles = {page: _title(text, page) for page, text in pages.items()}
    order = sorted(titles, key=lambda page: (page != "index", titles[page].casefold()))
    return show(
        request, await find_viewer(request), "wiki.html", "wiki.html", name=name,
        titles={page: titles[page] for page in order}, html=render_page(pages[name]),
    )  # fmt: skip


def _read_all() -> dict[str, str]:
    """Return the pages by name; a name of a request is only ever looked up here."""
    return {
        entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8")
        for entry in WIKI.iterdir()
        if entry.name.endswith(".md")
    }


def _title(text: str, name: str) -> str:
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return heading[1].replace("`", "") if heading else name


def render_page(text: str) -> str:
    """Return Markdown as HTML: links lead to other pages, and headings can be linked to."""
    tokens = MARKDOWN.parse(text)
    for token, inside in itertools.pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(inside.content))
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                _lead_to_page(child)
    environment: dict[str, Any] = {}
    return str(MARKDOWN.renderer.render(tokens, MARKDOWN.options, environment))


def _lead_to_page(link: Token) -> None:
    page = re.fullmatch(r"([a-z0-9-]+)\.md(#.*)?", str(link.attrGet("href")))
    if page:
        link.attrSet("href", f"/wiki/{page[1]}{page[2] or ''}")


def _anchor(heading: str) -> str:
    """Return the anchor that code forges make of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")
