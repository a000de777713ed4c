"""What users did: views, positions, skips, ratings, history and running sessions."""

from tests.stand_ins.plex.library import Library, Moment, _seconds
from tests.stand_ins.plex.records import Item, Playing, State, User, View

FINISHED = 0.9
"""The share of an item that has to be played for it to count as viewed."""


class Plays(Library):
    """Adds the views of the users."""

    def state(self, user: User, item: Item) -> State:
        """Return what is remembered, to look at; untouched if nothing."""
        return self.states[user.id].get(item) or State()

    def _touch(self, user: User, item: Item) -> State:
        user.state_revision += 1
        return self.states[user.id].setdefault(item, State())

    def play(
        self,
        user: User,
        item: Item,
        offset_seconds: float | None = None,
        finished: bool | None = None,
        *,
        at: Moment | None = None,
    ) -> View | None:
        """Let a user play an item up to `offset_seconds`; return the entry in the history if any.

        Finished (from 90 % on, if not said): counts as a view and enters the history. Else a video
        keeps its position, and a track nothing.
        """
        if finished is None:
            length = item.duration or 0
            finished = offset_seconds is None or offset_seconds * 1000 >= FINISHED * length
        moment = _seconds(at, self.now)
        if finished:
            self.scrobble(user, item, at=moment)
            view = View(next(self._next), user, item, moment)
            self.views.append(view)
            return view
        if item.type != "track":
            state = self._touch(user, item)
            state.view_offset = round((offset_seconds or 0) * 1000) or None
            state.last_viewed_at = moment
        return None

    def scrobble(self, user: User, item: Item, *, at: Moment | None = None) -> None:
        """Mark as viewed, with all that is below it; no entry in the history."""
        for leaf in item.leaves():
            state = self._touch(user, leaf)
            state.view_count += 1
            state.view_offset = None
            state.last_viewed_at = _seconds(at, self.now)

    def unscrobble(self, user: User, item: Item) -> None:
        """Mark as not viewed, with all that is below it."""
        for leaf in item.leaves():
            state = self._touch(user, leaf)
            state.view_count, state.view_offset, state.last_viewed_at = 0, None, None

    def skip(self, user: User, item: Item) -> None:
        """Let a user skip a track."""
        self._touch(user, item).skip_count += 1

    def rate(
        self, user: User, item: Item, rating: float | None, *, at: Moment | None = None
    ) -> None:
        """Let a user give 0 to 10, or (None) take the rating back."""
        state = self._touch(user, item)
        state.user_rating = None if rating is None else float(rating)
        state.last_rated_at = None if rating is None else _seconds(at, self.now)

    # Sessions

    def start_playing(self, user: User, item: Item, offset_seconds: float = 0) -> Playing:
        """Let a user begin; listeners are told."""
        session = Playing(next(self._next), user, item, round(offset_seconds * 1000))
        self.sessions[session.key] = session
        self._told(session)
        return session

    def report_progress(
        self, session: Playing, offset_seconds: float, state: str = "playing"
    ) -> None:
        """Let the player say where it is: playing, paused or buffering."""
        session.offset, session.state = round(offset_seconds * 1000), state
        self._told(session)

    def stop_playing(self, session: Playing, offset_seconds: float) -> View | None:
        """Let a user stop: as `play`, and listeners are told."""
        session.offset, session.state = round(offset_seconds * 1000), "stopped"
        self.sessions.pop(session.key, None)
        view = self.play(session.user, session.item, offset_seconds)
        self._told(session)
        return view

    def _told(self, session: Playing) -> None:
        """Tell listeners of a session; see Live."""
