"""Media and pictures on their way from a server, piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self

import aiohttp

from connectors.base import BadAnswer, ConnectorUnavailable, NotAllowed, NotFound, SignInRefused

CHUNK = 1 << 16
PASSED_ON = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "Last-Modified")
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)


class ServerStream:
    """An answer whose body has not been read yet. Close it, or use it with `async with`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        """200, 206, or 416 for a range that there is not."""
        self.headers = {n: answer.headers[n] for n in PASSED_ON if n in answer.headers}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises ConnectorUnavailable when it breaks off."""
        try:
            async for chunk in self._answer.content.iter_chunked(CHUNK):
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BadAnswer(f"The media broke off: {type(error).__name__}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._answer.close()


async def open_stream(
    session: aiohttp.ClientSession,
    name: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    byte_range: str | None = None,
) -> ServerStream:
    """GET `url` of the server called `name`; the URL, which may hold a token, is never told."""
    asked = dict(headers or {}) | ({"Range": byte_range} if byte_range else {})
    asked["Accept-Encoding"] = "identity"
    try:
        answer = await session.get(
            url, headers=asked, params=params, timeout=TIMEOUT,
            allow_redirects=False,  # the token in a header would go to whoever is named
        )  # fmt: skip
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise ConnectorUnavailable(f"{name} cannot be reached: {type(error).__name__}.") from error
    if answer.status in (200, 206, 416):
        return ServerStream(answer)
    answer.close()
    if answer.status == 401:
        raise SignInRefused(f"{name} does not take the sign-in any more; connect it again.")
    if answer.status == 403:
        raise NotAllowed(f"{name} does not allow its media to be read.")
    if answer.status == 404:
        raise NotFound(f"{name} has no such media.")
    raise ConnectorUnavailable(f"{name} answered {answer.status}.")
