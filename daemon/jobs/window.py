"""The quiet hours."""

from datetime import UTC, datetime, timedelta

from daemon.settings import parse_window


def window_end(window: str, begun: datetime, share: float = 1.0) -> datetime | None:
    """Return when the quiet hours that `begun` falls into end, in UTC, or a share of them.

    None where there is no window. A run that begins outside of them (the machine was off at
    night) may use as much time as the window is long.
    """
    times = parse_window(window)
    if times is None:
        return None
    start, end = times
    local = begun.astimezone()
    opening = datetime.combine(local.date(), start).astimezone()
    length = timedelta(hours=end.hour - start.hour, minutes=end.minute - start.minute) % timedelta(
        days=1
    )
    if opening > local:
        opening -= timedelta(days=1)
    inside = local - opening < length
    return ((opening if inside else local) + share * length).astimezone(UTC)
