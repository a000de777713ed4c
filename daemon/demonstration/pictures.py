"""Twenty-four painted views with their titles, keywords and dates."""

from dataclasses import dataclass
from pathlib import Path

import exiv2

from daemon.demonstration.painting import (
    Part,
    aurora,
    balloon,
    birds,
    boat,
    clouds,
    crescent,
    falling,
    firs,
    flowers,
    glow,
    house,
    lighthouse,
    paint,
    rainbow,
    ridge,
    sea,
    sky,
    stars,
    town,
    trees,
)  # fmt: skip

SIZE = (1080, 720)


@dataclass(frozen=True, slots=True)
class View:
    """One picture: where it goes, what is said of it, and how it is painted."""

    file: str
    title: str
    about: str
    keywords: str
    taken: str
    artist: str
    parts: tuple[Part, ...]


LENA, OTTO, PIM = "Lena Amsel", "Otto Quill", "Pim Vandersea"

VIEWS = (
    View("Seaside/evening at the pier.jpg", "Sunset over a Quiet Sea",
         "The sun goes down behind one small sailing boat; the water is the colour of apricots.",
         "sunset, sea, boat, evening, orange, calm", "2016:08:14 20:41:00", LENA,
         (sky("#3b3561", "#c8553d", "#ffb35c", bottom=0.6),
          glow(0.62, 0.52, 0.06, "#fff0b8", "#ffc46b"),
          sea(0.6, "#d9783f", "#3a2f52", glitter="#ffd896", x=0.62),
          boat(0.3, 0.68, 0.1, sail="#3a2a3c"))),
    View("Seaside/keeper of the light.jpg", "The Lighthouse at Night",
         "A striped lighthouse sends its beam over the black sea under a sky full of stars.",
         "lighthouse, night, sea, stars, beam, coast", "2018:11:02 22:10:00", OTTO,
         (sky("#060a1c", "#1c2d52", bottom=0.7), stars(300),
          lighthouse(0.28, 0.72, 0.42, "#ffeeb0"), sea(0.7, "#16264a", "#050a18"),
          ridge(0.76, "#0d0f18", 0.05, 0.6))),
    View("Seaside/low tide regatta.jpg", "Regatta on a Bright Morning",
         "Five little boats race one another along the coast, in no hurry at all.",
         "boats, sailing, morning, sea, summer, blue", "2019:06:23 09:05:00", PIM,
         (sky("#3f8ed0", "#d8eefb", bottom=0.55), clouds(6, 0.25), sea(0.55, "#7fc1dd", "#1f6f96"),
          *(boat(0.14 + 0.17 * n, 0.62 + 0.05 * (n % 3), 0.09 + 0.02 * (n % 3), sail=sail)
            for n, sail in enumerate(("#f4ead5", "#d94f45", "#f4c95d", "#fff", "#5b8c5a"))))),
    View("Seaside/the storm has opinions.jpg", "Storm Coming In",
         "Grey waves and slanting rain; the boat should have stayed at home.",
         "storm, rain, sea, waves, grey, weather", "2017:10:29 16:20:00", OTTO,
         (sky("#20252e", "#5f6a76", bottom=0.6), clouds(14, 0.18, "#2f353f"),
          clouds(8, 0.3, "#485260"), sea(0.58, "#55636f", "#1c252d"),
          boat(0.55, 0.7, 0.12, sail="#c9c4b8"), falling(420, "#9aa7b3", streak=0.07))),
    View("Seaside/moon road.png", "Moon Road",
         "A full moon lays a silver path over the bay.",
         "moon, night, sea, silver, reflection", "2020:02:09 23:30:00", LENA,
         (sky("#0b1026", "#2b3a63", bottom=0.62), stars(120, 0.5),
          glow(0.5, 0.24, 0.05, "#fdf8e4", "#8fa6d8"),
          sea(0.62, "#2c3d68", "#0a1024", glitter="#d9e2f5", x=0.5))),
    View("Mountains/first light.jpg", "Alpine Sunrise",
         "Ridge behind ridge in pink and violet, before anybody has had coffee.",
         "mountains, sunrise, alps, pink, dawn", "2015:07:11 05:12:00", PIM,
         (sky("#42508c", "#f2a488", "#ffe0b0", bottom=0.65), glow(0.72, 0.5, 0.04, "#fff6d0"),
          ridge(0.62, "#a58bb0", 0.26, 1.1), ridge(0.72, "#77638f", 0.2, 1.0),
          ridge(0.84, "#43395e", 0.14, 0.9))),
    View("Mountains/snow on the shoulders.jpg", "Winter Firs",
         "Snow falls on fir trees and on a cottage with its lamps lit.",
         "snow, winter, forest, fir trees, cottage, cold", "2014:12:23 16:45:00", LENA,
         (sky("#5b6b8c", "#c9d3e0", bottom=0.7), ridge(0.62, "#a9b6c9", 0.22),
          ridge(0.74, "#e4ebf2", 0.05, 0.5), firs(26, 0.74, "#2c4a45", 0.2, "#eef4f8"),
          house(0.66, 0.88, 0.11, "#7a4f35", "#f2f6fa"), falling(500, "#ffffff"))),
    View("Mountains/green curtains.jpg", "Northern Lights above the Fells",
         "The aurora hangs green over snowy hills; somebody forgot their gloves.",
         "aurora, northern lights, night, green, stars, snow", "2022:01:17 23:58:00", OTTO,
         (sky("#050b1e", "#12324a", bottom=0.8), stars(320), aurora("#58f2a4", 0.32),
          aurora("#9a6cf0", 0.2), ridge(0.72, "#1b2c44", 0.16, 1.0),
          ridge(0.84, "#31465e", 0.08, 0.5))),
    View("Mountains/lake with nobody.webp", "The Still Lake",
         "Mountains stand around a lake without a ripple. Bring a book.",
         "lake, mountains, calm, summer, water, blue", "2021:08:03 11:15:00", PIM,
         (sky("#5aa0d8", "#e6f3fa", bottom=0.5), clouds(4, 0.15), ridge(0.52, "#8aa0b5", 0.3, 1.1),
          ridge(0.56, "#4f7264", 0.14, 0.8), sea(0.58, "#7fb4cf", "#2b5f78"),
          firs(9, 0.86, "#1f3d33", 0.2))),
    View("Mountains/after the shower.jpg", "Rainbow over the Valley",
         "The shower is over and the valley shows off.",
         "rainbow, valley, hills, green, rain, spring", "2013:05:19 17:33:00", LENA,
         (sky("#6f8296", "#c4d6df", bottom=0.7), clouds(7, 0.2, "#8b98a6"),
          rainbow(0.5, 0.82, 0.66), ridge(0.7, "#5c8a5b", 0.14, 0.6),
          ridge(0.82, "#3f7346", 0.1, 0.5), trees(6, 0.86, "#2f5d36", "#3b6f3f"))),
    View("Town/all the windows.jpg", "City at Night",
         "Towers with a thousand lit windows; in each of them somebody looks for their keys.",
         "city, night, skyline, windows, lights, towers", "2019:01:25 21:00:00", OTTO,
         (sky("#0a0d22", "#3a2b56", bottom=0.9), stars(60, 0.4),
          town(0.86, "#1d2138", "#f7cf6b", 30, 0.55), town(0.95, "#0d0f1c", "#ffe3a0", 20, 0.35))),
    View("Town/seven in the evening.jpg", "Skyline at Dusk",
         "The city against a red sky, just when the lamps come on.",
         "city, dusk, skyline, red, evening", "2018:09:07 19:02:00", PIM,
         (sky("#38305c", "#d2544a", "#ffb46a", bottom=0.85), birds(7, 0.2),
          town(0.9, "#241c33", "#ffd27a", 26, 0.5))),
    View("Town/harbour front.jpg", "Harbour Town by Night",
         "Lights of the town tremble in the harbour; two boats are asleep.",
         "harbour, town, night, boats, lights, water", "2020:09:12 22:22:00", LENA,
         (sky("#0b1330", "#34406b", bottom=0.62), crescent(0.8, 0.18, 0.05, "#141d40"),
          town(0.62, "#1a1f38", "#ffd58a", 24, 0.3),
          sea(0.63, "#26325c", "#0a1026", glitter="#f2c572", x=0.45), boat(0.3, 0.8, 0.1),
          boat(0.7, 0.86, 0.13))),
    View("Town/rain on tram day.png", "Wet Street Skyline",
         "Rain over grey roofs. It is Monday and one can tell.",
         "rain, city, grey, roofs, weather, autumn", "2016:11:21 08:15:00", OTTO,
         (sky("#59636e", "#9aa5ad", bottom=0.9), town(0.9, "#4a535c", "#e3d9a8", 22, 0.4),
          falling(300, "#c5ced6", streak=0.05))),
    View("Country/poppies and the rest.jpg", "Meadow in June",
         "Poppies, cornflowers and daisies, all talking at once.",
         "meadow, flowers, poppies, summer, field, red", "2017:06:10 12:40:00", PIM,
         (sky("#62b0e8", "#eaf6fc", bottom=0.5), clouds(5, 0.2), ridge(0.52, "#7fb069", 0.08, 0.5),
          sky("#6aa84f", "#3d7a37", top=0.55),
          flowers(0.56, "#d8352a", "#e8584a", "#3d6fd1", "#ffffff"))),
    View("Country/tulip accounts.jpg", "Tulip Field",
         "Pink and yellow flowers to the horizon, with one house to mind them.",
         "flowers, tulips, spring, pink, yellow, field", "2018:04:28 10:00:00", LENA,
         (sky("#8fc7ee", "#f4fafd", bottom=0.5), sky("#79b65a", "#4d8b40", top=0.5),
          house(0.78, 0.52, 0.1, "#f3ead8", "#b5533c"),
          flowers(0.53, "#f06fa0", "#f9c846", "#f49ac1", count=320))),
    View("Country/october does its best.jpg", "Autumn Trees",
         "Orange, red and gold, and a cottage that smells of apples.",
         "autumn, trees, orange, leaves, cottage, october", "2012:10:16 15:30:00", OTTO,
         (sky("#9fb8c8", "#f1e4cf", bottom=0.6), ridge(0.6, "#b58a56", 0.1, 0.6),
          ridge(0.7, "#8f7a3c", 0.04, 0.4), house(0.3, 0.78, 0.12, "#e9dcc3", "#7b3b2a"),
          trees(16, 0.78, "#d9702b", "#c23b22", "#e8a93a", height=0.3))),
    View("Country/up and away.jpg", "Three Balloons",
         "Hot-air balloons drift over the fields in the morning, waving.",
         "balloons, hot-air balloon, morning, fields, sky, flight", "2015:05:30 06:48:00", PIM,
         (sky("#5a9fd6", "#fbe6c8", bottom=0.75), clouds(4, 0.5),
          ridge(0.78, "#86a860", 0.08, 0.5), ridge(0.88, "#5f8a48", 0.06, 0.5),
          balloon(0.28, 0.35, 0.15, "#d9483b", "#f6d55c"),
          balloon(0.62, 0.22, 0.1, "#3b6fb5", "#f4f1e8"),
          balloon(0.82, 0.5, 0.06, "#6a994e", "#f2a541"))),
    View("Country/the oldest sand.jpg", "Desert at Noon",
         "Dunes and heat, and not one ice cream van.",
         "desert, sand, dunes, hot, yellow, sun", "2011:03:05 12:00:00", OTTO,
         (sky("#4f9bd9", "#f7e3b5", bottom=0.6), glow(0.75, 0.15, 0.05, "#fffbe6", "#fff1b5"),
          ridge(0.62, "#e3b873", 0.09, 0.3), ridge(0.74, "#d29a52", 0.1, 0.3),
          ridge(0.9, "#b87a3b", 0.1, 0.3))),
    View("Country/fog before breakfast.jpg", "Forest in Fog",
         "Fir trees go grey one behind the other until there are none.",
         "forest, fog, fir trees, grey, quiet, morning", "2019:11:13 07:20:00", LENA,
         (sky("#c2c8c9", "#dfe3e2"), firs(22, 0.5, "#b3bcbb", 0.22),
          firs(18, 0.62, "#8d9a98", 0.3), clouds(8, 0.62, "#dfe4e3"),
          firs(10, 0.8, "#50615d", 0.42))),
    View("Night/one thin moon.png", "Crescent Moon and Hills",
         "A thin moon over dark hills. An owl has been informed.",
         "moon, crescent, night, hills, stars, dark", "2021:03:17 22:45:00", PIM,
         (sky("#0a0f26", "#27355c"), stars(260), crescent(0.7, 0.26, 0.08, "#131b3b"),
          ridge(0.75, "#151b30", 0.12, 0.6), ridge(0.88, "#0a0d18", 0.08, 0.5))),
    View("Night/everything at once.jpg", "So Many Stars",
         "The whole sky, away from any town.",
         "stars, night sky, astronomy, dark, space", "2022:08:12 01:15:00", OTTO,
         (sky("#03040d", "#141a3a"), stars(1600, 1.0), aurora("#3c3f78", 0.45),
          firs(14, 0.94, "#02030a", 0.16))),
    View("Night/the lamp is on.jpg", "Cottage in the Snow",
         "One warm window in a blue winter night.",
         "winter, night, cottage, snow, window, cosy", "2016:12:24 18:30:00", LENA,
         (sky("#0d1733", "#33497a", bottom=0.75), stars(180), ridge(0.76, "#93a7cc", 0.05, 0.4),
          firs(14, 0.74, "#1c2b3f", 0.22, "#9db2d6"),
          house(0.45, 0.9, 0.16, "#4a3226", "#dfe8f5", "#ffcf70"), falling(260, "#e8eefb"))),
    View("Night/late ferry.webp", "Fireglow on the Water",
         "The last red of the evening on a black sea, and a boat that is late.",
         "sea, night, red, boat, evening, dark", "2013:09:01 20:55:00", PIM,
         (sky("#0c0a18", "#4b1626", "#c7452e", bottom=0.6),
          sea(0.6, "#7d2a26", "#0a0812", glitter="#f0743e", x=0.4),
          boat(0.68, 0.72, 0.12, "#0d0a10", "#1c1420"))),
)  # fmt: skip
"""In four folders, as somebody might keep them."""


def make_pictures(folder: Path) -> int:
    """Paint all views into folders and return how many there are."""
    for view in VIEWS:
        path = folder / view.file
        path.parent.mkdir(parents=True, exist_ok=True)
        paint(SIZE, view.title, view.parts).reduce(2).save(path, quality=84)
        _tag(path, view)
    return len(VIEWS)


def _tag(path: Path, view: View) -> None:
    image = exiv2.ImageFactory.open(str(path))
    image.readMetadata()
    exif, xmp = image.exifData(), image.xmpData()
    exif["Exif.Image.ImageDescription"] = view.about
    exif["Exif.Image.Artist"] = view.artist
    exif["Exif.Photo.DateTimeOriginal"] = view.taken
    xmp["Xmp.dc.title"] = view.title
    xmp["Xmp.dc.description"] = view.about
    xmp["Xmp.dc.subject"] = exiv2.XmpArrayValue(view.keywords.split(", "), exiv2.TypeId.xmpBag)
    image.writeMetadata()
