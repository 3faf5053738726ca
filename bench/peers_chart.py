#!/usr/bin/env python3
"""Draws docs/peers.svg, the chart in README, from docs/figures/peers.json, which bench/peers.py --save wrote."""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHOWN = {
    "mqtt-bridge": "mqtt-bridge",
    "node": "Node.js, mqtt.js",
    "node-red": "Node-RED",
    "fastapi": "FastAPI, aiomqtt",
    "django-gunicorn": "Django, gunicorn",
    "django-runserver": "Django, runserver",
    "rabbitmq": "RabbitMQ's HTTP API",
    "rmqtt": "rmqtt's HTTP API",
}
COLUMNS = (("rate_from_64", "requests per second, 64 connections"), ("cpu_us", "CPU per request, µs"))
WIDTH, LEFT, ROW, TOP, GAP = 860, 160, 26, 56, 30
OURS, OTHERS, TEXT = "#2563a8", "#a9b8c9", "#222"


def text(x, y, words, anchor="start", weight="normal", size=13):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{TEXT}">{words}</text>'
    )


def bars(table, column, left, width):
    """The bars of one column, one for each row, on the same scale."""
    values = {who: table[who][column] for who in SHOWN}
    for number, (who, value) in enumerate(values.items()):
        y, length = TOP + number * ROW, width * value / max(values.values())
        colour = OURS if who == "mqtt-bridge" else OTHERS
        yield f'<rect x="{left:.0f}" y="{y}" width="{max(length, 1):.0f}" height="{ROW - 8}" fill="{colour}"/>'
        is_long = length > width - 60
        x = left + length - 6 if is_long else left + length + 6
        label = text(x, y + 14, f"{value:,.0f}", "end" if is_long else "start")
        yield label.replace(TEXT, "#fff") if is_long and who == "mqtt-bridge" else label


def main():
    figures = json.loads((ROOT / "docs/figures/peers.json").read_text())["figures"]
    table = {row["who"]: row for row in figures["rows"]}
    width = (WIDTH - LEFT - 2 * GAP) / 2
    height = TOP + len(SHOWN) * ROW + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        text(GAP / 2, 22, "One HTTP POST, one MQTT message at QoS 0", weight="bold", size=15),
    ]
    for number, who in enumerate(SHOWN):
        parts.append(text(LEFT - 10, TOP + number * ROW + 14, SHOWN[who], "end"))
    for number, (column, title) in enumerate(COLUMNS):
        left = LEFT + number * (width + GAP)
        parts.append(text(left, TOP - 10, title))
        parts.extend(bars(table, column, left, width))
    (ROOT / "docs/peers.svg").write_text("\n".join([*parts, "</svg>"]) + "\n")


if __name__ == "__main__":
    main()
