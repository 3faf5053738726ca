"""Draws figures along an axis as SVG: a panel for each kind of figure, and a line for each series."""

import collections
import dataclasses
import html
import math

WIDTH, LEFT, RIGHT = 720, 58, 16
# distance between the left edges of two panels in a row
COLUMN = 360
HEIGHTS = {True: 210, False: 120}
ABOVE, BELOW = 24, 42
TEXT, GRID, FAINT = "#222222", "#dddddd", "#666666"
# with dashes and markers that differ in grey too
STYLES = [
    ("#0b5394", "", "circle"),
    ("#d9601a", "7 3", "square"),
    ("#3d8c40", "2 3", "triangle"),
    ("#8a5fa8", "9 3 2 3", "diamond"),
]
CHARACTER, LINE = 5.8, 11
# the ratio of the largest to the smallest figure from which a panel is logarithmic
WIDE_RANGE = 15


@dataclasses.dataclass
class Panel:
    """One kind of figure, by its key in the figures."""

    key: str
    title: str
    # in its own row
    is_wide: bool = False
    is_log: bool = False
    # whether it marks points at which nothing could be measured
    tells_stops: bool = False


@dataclasses.dataclass
class Plot:
    """One picture."""

    title: str
    # the label below each panel
    label: str
    # the values of the axis, and their labels
    ticks: dict[int, str]
    panels: list[Panel]
    # the points of each series: the value of the axis, `at`, and the figures
    series: dict[str, list[dict]]
    notes: list[str]

    def svg(self):
        parts, top, column = [*self.heading()], 62, 0
        for panel in self.panels:
            if column and panel.is_wide:
                top, column = top + row_height(False), 0
            width = WIDTH - LEFT - RIGHT - (0 if panel.is_wide else COLUMN)
            area = Area(LEFT + column * COLUMN, top + ABOVE, width, panel.is_wide)
            parts += Drawing(self, panel, area).parts()
            column = 0 if panel.is_wide else (column + 1) % 2
            top += 0 if column else row_height(panel.is_wide)
        top += row_height(False) if column else 0
        for number, note in enumerate(self.notes):
            parts.append(text(LEFT, top + 10 + 14 * number, note, size=10, fill=FAINT))
        height = top + 14 * len(self.notes) + 12
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="Helvetica, Arial, sans-serif" role="img">\n<title>{html.escape(self.title)}</title>\n'
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
        )
        return "\n".join([head, *parts, "</svg>\n"])

    def heading(self):
        yield text(LEFT, 26, self.title, size=16, weight="bold")
        x = LEFT
        for (name, _), style in zip(self.series.items(), STYLES):
            yield line([(x, 46), (x + 34, 46)], style[0], dash=style[1], width=2)
            yield marker(x + 17, 46, style)
            yield text(x + 40, 50, name, size=12)
            x += 40 + 6.4 * len(name) + 22


def row_height(is_wide):
    return ABOVE + HEIGHTS[is_wide] + BELOW


class Area:
    """The rectangle of a panel."""

    def __init__(self, left, top, width, is_wide):
        self.left, self.top, self.right, self.bottom = left, top, left + width, top + HEIGHTS[is_wide]
        self.steps = 5 if is_wide else 3

    def x(self, part):
        return self.left + part * (self.right - self.left)

    def y(self, part):
        return self.bottom - part * (self.bottom - self.top)


class Drawing:
    """A panel in its rectangle."""

    def __init__(self, plot, panel, area):
        self.plot, self.panel, self.area = plot, panel, area
        values = [point[panel.key] for points in plot.series.values() for point in points if panel.key in point]
        # a figure of 0 has no logarithm
        self.is_log = bool(values) and min(values) > 0 and (panel.is_log or max(values) / min(values) > WIDE_RANGE)
        self.scale = log_scale(values) if self.is_log else linear_scale(values, area.steps)
        # rectangles that labels must avoid
        self.taken = []

    def parts(self):
        yield text(self.area.left, self.area.top - 9, self.panel.title, size=12, weight="bold")
        yield from self.horizontals()
        yield from self.verticals()
        lines = {name: list(self.line(points)) for name, points in self.plot.series.items()}
        segments = [pair for points in lines.values() for pair in zip(points, points[1:])]
        for (name, points), style in zip(lines.items(), STYLES):
            yield line([(x, y) for x, y, _ in points], style[0], dash=style[1], width=2)
            yield from (marker(x, y, style) for x, y, _ in points)
            self.taken += [(x - 5, y - 5, x + 5, y + 5) for x, y, _ in points]
        ends = collections.defaultdict(list)
        for points, style in zip(lines.values(), STYLES):
            for x, y, value in points:
                ends[x].append((y, number(value), style))
        for x, column in ends.items():
            column.sort(key=lambda end: end[0])
            # the highest and the lowest first, which have room above and below
            for rank in sorted(range(len(column)), key=lambda rank: min(rank, len(column) - 1 - rank)):
                y, words, style = column[rank]
                others = [other for other, *_ in column if other != y]
                if any(words == said and abs(y - other) < 4 for other, said, _ in column[:rank]):
                    continue
                yield self.label((x, y), words, style, segments, others, is_lower=rank > 0)
        if self.panel.tells_stops:
            yield from self.stops(segments)

    def horizontals(self):
        for value in self.scale[2]:
            y = self.y(value)
            yield line([(self.area.left, y), (self.area.right, y)], GRID)
            yield text(self.area.left - 6, y + 4, number(value, is_tick=True), size=10, anchor="end", fill=FAINT)
        yield line([(self.area.left, self.area.bottom), (self.area.right, self.area.bottom)], TEXT)

    def verticals(self):
        end = -math.inf
        for value, name in self.plot.ticks.items():
            x = self.x(value)
            yield line([(x, self.area.bottom), (x, self.area.bottom + 4)], TEXT)
            # a label without room is left out, as the points show the figure
            half = CHARACTER * len(name) / 2
            if x - half > end:
                yield text(x, self.area.bottom + 16, name, size=10, anchor="middle")
                end = x + half + 2
        if 0 in self.plot.ticks:
            # no line from 0 to the rest of a logarithmic axis
            for x in (self.area.x(0.145), self.area.x(0.155)):
                yield line([(x - 2, self.area.bottom + 5), (x + 2, self.area.bottom - 5)], TEXT)
        middle = (self.area.left + self.area.right) / 2
        yield text(middle, self.area.bottom + 30, self.plot.label, size=10, anchor="middle", fill=FAINT)

    def line(self, points):
        for point in points:
            if self.panel.key in point:
                value = point[self.panel.key]
                yield self.x(point["at"]), self.y(value), value

    def stops(self, segments):
        found = collections.defaultdict(list)
        for points, (colour, *_) in zip(self.plot.series.values(), STYLES):
            for point in points:
                if "passed" in point:
                    found[point["at"], point["passed"]].append(colour)
        for (at, passed), colours in found.items():
            # one for all series with the same gap
            style, x, y = (TEXT if len(colours) > 1 else colours[0],), self.x(at), self.area.bottom
            yield line([(x - 5, y - 5), (x + 5, y + 5)], *style, width=2)
            yield line([(x - 5, y + 5), (x + 5, y - 5)], *style, width=2)
            self.taken.append((x - 6, y - 6, x + 6, y + 6))
            yield self.label((x, y), f"at {at:,} it stands still after {passed:,}", style, segments)

    def x(self, value):
        first, last = (math.log(value) for value in (min(filter(None, self.plot.ticks)), max(self.plot.ticks)))
        if value == 0:
            return self.area.x(0.06)
        begin = 0.26 if 0 in self.plot.ticks else 0.06
        return self.area.x(begin + (0.94 - begin) * (math.log(value) - first) / (last - first))

    def y(self, value):
        low, high, _ = self.scale
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.area.y((value - low) / (high - low))

    def label(self, point, words, style, segments, others=(), is_lower=False):
        """A text beside a point, where it covers least and cannot be taken for the label of another point."""
        (x, y), half = point, CHARACTER * len(words) / 2
        places = [(dx, dy) for dy in (-9, 18, -20, 29, -31, 40) for dx in (0, half + 6, -half - 6)]
        places += [(half + 9, 4), (-half - 9, 4)]
        boxes = [(x + dx - half, y + dy - LINE + 2, x + dx + half, y + dy + 2) for dx, dy in places]
        wrong = [dy < 0 if is_lower else dy > 4 for _, dy in places]
        strange = [any(abs(y + dy - 3 - other) < abs(dy - 3) for other in others) for _, dy in places]
        costs = [
            self.cost(box, segments) + 0.5 * number + 4 * wrong[number] + 8 * strange[number]
            for number, box in enumerate(boxes)
        ]
        cheapest = costs.index(min(costs))
        self.taken.append(boxes[cheapest])
        dx, dy = places[cheapest]
        return text(x + dx, y + dy, words, size=10, anchor="middle", fill=style[0], halo=True)

    def cost(self, box, segments):
        left, top, right, bottom = box
        is_inside = left >= self.area.left and right <= min(self.area.right + 20, WIDTH - 4)
        is_inside = is_inside and top >= self.area.top - 6 and bottom <= self.area.bottom + 1
        covered = sum(overlap(box, other) for other in self.taken)
        crossed = sum(any(contains(box, between(*ends, step / 24)) for step in range(25)) for ends in segments)
        return 40 * (not is_inside) + 20 * covered + 2 * crossed


def linear_scale(values, steps):
    """The range of values, from 0 on, and the marked ones: at least as many as steps."""
    most = max([*values, 1e-9]) * 1.12
    size = 10 ** math.floor(math.log10(most / steps))
    step = max(size * factor for factor in (1, 2, 5) if size * factor <= most / steps)
    return 0, most, [step * count for count in range(int(most / step) + 1)]


def log_scale(values):
    low, high = min(values) / 2.6, max(values) * 1.9
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            break
    return low, high, ticks


def number(value, is_tick=False):
    if value >= 10 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.3g}" if is_tick else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def between(begin, end, part):
    return begin[0] + part * (end[0] - begin[0]), begin[1] + part * (end[1] - begin[1])


def contains(box, point):
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def text(x, y, words, size, anchor="start", fill=TEXT, weight="normal", halo=False):
    white = ' stroke="white" stroke-width="3" paint-order="stroke"' if halo else ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {place} fill="{fill}" font-weight="{weight}"{white}>{html.escape(words)}</text>'


def line(points, colour, dash="", width=1):
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'


def marker(x, y, style):
    colour, _, shape = style
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    if shape == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    corners = {"triangle": [(0, -5), (5, 4), (-5, 4)], "diamond": [(0, -6), (5, 0), (0, 6), (-5, 0)]}[shape]
    corners = " ".join(f"{x + right:.1f},{y + down:.1f}" for right, down in corners)
    return f'<polygon points="{corners}" fill="{colour}"/>'
