"""Units, and how people read times, durations and amounts of memory."""

from __future__ import annotations

from datetime import datetime, timedelta

from gpuwatch_tray.i18n import _

KIB, MIB, GIB = 2**10, 2**20, 2**30  # bytes
MINUTE, HOUR, DAY = 60, 3600, 86400  # seconds
TO_THE_SECOND, TO_THE_MINUTE = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"


def local_datetime(at: float) -> datetime:
    """Convert `at`, in seconds since the epoch, to the machine's zone."""
    return datetime.fromtimestamp(at).astimezone()


def local_time(at: float, form: str = TO_THE_SECOND) -> str:
    """Write `at`, in seconds since the epoch, in the machine's zone: `2026-01-07 23:27:48`."""
    return local_datetime(at).strftime(form)


def recent_time(at: float, now: float) -> str:
    """Write a past time, in seconds since the epoch: `23:27:48`, with its date if that is not today."""
    same_day = local_datetime(at).date() == local_datetime(now).date()
    return local_time(at, "%H:%M:%S" if same_day else TO_THE_SECOND)


def end_time(at: float, now: float) -> str:
    """Write a coming time, in seconds since the epoch: `14:00` today, `tomorrow 08:00`, or with its date."""
    end, today = local_datetime(at), local_datetime(now).date()
    if end.date() == today + timedelta(days=1):
        return _("tomorrow {time}").format(time=end.strftime("%H:%M"))
    return end.strftime("%H:%M" if end.date() == today else TO_THE_MINUTE)


def duration(seconds: float) -> str:
    """Write seconds for a sentence: `40 s`, `24 min`, `3 h 24 min`, `3 h`, `2 d 5 h`."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // MINUTE, whole // HOUR, whole // DAY
    if days:
        hours %= 24
        form = _("{days} d {hours} h") if hours else _("{days} d")
    elif hours:
        minutes %= 60
        form = _("{hours} h {minutes} min") if minutes else _("{hours} h")
    else:
        form = _("{minutes} min") if minutes else _("{seconds} s")
    return form.format(days=days, hours=hours, minutes=minutes, seconds=whole)


def menu_duration(seconds: float) -> str:
    """Write seconds for a menu, short and never to the second: `24 min`, `3:24 h`, `2 d 5 h`."""
    whole = int(seconds)
    if whole < MINUTE:
        return _("< 1 min")
    if whole < HOUR:
        return _("{minutes} min").format(minutes=whole // MINUTE)
    if whole < DAY:
        return _("{hours}:{minutes:02} h").format(hours=whole // HOUR, minutes=whole % HOUR // MINUTE)
    return _("{days} d {hours} h").format(days=whole // DAY, hours=whole % DAY // HOUR)


def rough_duration(seconds: float) -> str:
    """Write seconds in the largest unit of which there are at least two: `90 s`, `2 min`, `47 h`, `3 d`."""
    whole = max(int(seconds), 0)
    if whole >= 2 * DAY:
        return _("{days} d").format(days=whole // DAY)
    if whole >= 2 * HOUR:
        return _("{hours} h").format(hours=whole // HOUR)
    if whole >= 2 * MINUTE:
        return _("{minutes} min").format(minutes=whole // MINUTE)
    return _("{seconds} s").format(seconds=whole)


def memory_text(value: int) -> str:
    """Write bytes: `512 MiB`, `2.8 GiB`."""
    return f"{gib(value)} GiB" if value >= GIB else f"{value // MIB} MiB"


def gib(value: float) -> str:
    """Write bytes in GiB, without the unit: `2.8`."""
    return f"{value / GIB:.1f}"
