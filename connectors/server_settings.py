"""What an operator says about a media server."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from connectors.paths import PathMap


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be an address such as http://jellyfin:8096")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("should hold no name, password or query; sign in with `connect`")
    return text.rstrip("/")


class ServerSettings(BaseModel):
    """What all media servers have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(min_length=1, max_length=60)
    """What the server is called in pages, logs and playlists."""

    url: Annotated[str, AfterValidator(_url)]
    """Its address, such as http://jellyfin:8096; a base path may follow."""

    users: dict[str, str] = Field(default_factory=dict)
    """Whose user is whose: profile: user on the server. Each signs in once with `connect`."""

    libraries: tuple[str, ...] = ()
    """Names of the libraries to take in; without any, all of them."""

    path_map: dict[str, str] = Field(default_factory=dict)
    """Where the server's folders are mounted here: folder on the server: folder here."""

    write_ratings: bool = False
    """Whether ratings and favourites that were given here are written to the server."""

    verify_tls: bool = True
    """Whether the certificate of an https address must be valid."""

    @field_validator("path_map")
    @classmethod
    def _check_path_map(cls, value: dict[str, str]) -> dict[str, str]:
        PathMap(value)
        return value


class JellyfinSettings(ServerSettings):
    """A Jellyfin server, 10.9 or newer."""

    kind: Literal["jellyfin"]
    """The kind of source."""

    api_key: SecretStr | None = None
    """Made by an administrator; may read the library. Playlists need users who signed in."""


class PlexSettings(ServerSettings):
    """A Plex Media Server."""

    kind: Literal["plex"]
    """The kind of source."""

    token: SecretStr | None = None
    """An X-Plex-Token of the user, where there is one user only; else `connect`."""

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if self.token and len(self.users) != 1:
            raise ValueError("token goes with exactly one entry in users")
        return self


class SubsonicSettings(ServerSettings):
    """A server that speaks the Subsonic API: Navidrome, Gonic, Airsonic, LMS, supysonic."""

    kind: Literal["subsonic"]
    """The kind of source."""

    password: SecretStr | None = None
    """Of the user, where there is one user only; else `connect`."""

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if self.password and len(self.users) != 1:
            raise ValueError("password goes with exactly one entry in users")
        return self
