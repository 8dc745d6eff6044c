"""GET /docs: the document of `api.document.openapi` as one plain page, without scripts and external files."""

import json
from collections.abc import Iterator
from typing import Any

from flask import Response, current_app
from markupsafe import Markup, escape

from api.document.openapi import document
from api.http.operation import Schema
from api.http.query import no_query

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.9em ui-monospace, monospace; } pre { overflow-x: auto; padding: 0.75rem; background: #8881; }
summary { cursor: pointer; padding: 0.3rem 0; } details { border-bottom: 1px solid #8884; }
.method { display: inline-block; width: 4.5rem; font-weight: 700; } .scope { float: right; opacity: 0.7; }
table { border-collapse: collapse; width: 100%; } td {
  text-align: left; vertical-align: top; padding: 0.2rem 0.6rem 0.2rem 0; }
:root { color-scheme: light dark; }
"""


def show() -> Response:
    """API reference as a page."""
    no_query()
    response = Response(str(page(document(current_app))), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    )
    return response


def page(api: Schema) -> Markup:
    """The page. Every text of the document is escaped."""
    tags = Markup("").join(_tag(api, tag["name"]) for tag in api["tags"])
    schemas = Markup("").join(_schema(name, schema) for name, schema in sorted(api["components"]["schemas"].items()))
    info = api["info"]
    return Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
        '<meta name="viewport" content="width=device-width"><style>{style}</style></head><body>'
        '<p><a href="/">← {title}</a></p>'
        "<h1>{title} API {version}</h1><p>{summary} {description}</p>"
        "<p>For programs: <code>/openapi.json</code>; a job's spec for editors: <code>/schema/job.json</code>.</p>"
        "{tags}<h2>Shapes</h2>{schemas}</body></html>\n"
    ).format(style=Markup(_STYLE), tags=tags, schemas=schemas, **{  # noqa: S704  our own style
        name: info[name] for name in ("title", "version", "summary", "description")
    })  # fmt: skip


def _tag(api: Schema, tag: str) -> Markup:
    entries = Markup("").join(
        _operation(path, method, one) for path, method, one in _operations(api) if tag in one["tags"]
    )
    return Markup("<h2>{}</h2>{}").format(tag.capitalize(), entries)


def _operations(api: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in api["paths"].items():
        for method, one in methods.items():
            if method != "parameters":
                yield path, method, {**one, "parameters": [*methods.get("parameters", ()), *one["parameters"]]}


def _operation(path: str, method: str, one: Schema) -> Markup:
    return Markup(
        '<details id="{name}"><summary><span class="method">{method}</span><code>{path}</code> {summary}'
        '<span class="scope">{scope}</span></summary><p>{says}</p>{parameters}{body}<table>{answers}</table></details>'
    ).format(
        name=one["operationId"],
        method=method.upper(),
        path=path,
        summary=one["summary"],
        scope=one["x-scope"],
        says=one["description"],
        parameters=_table(one["parameters"]),
        body=_body(one.get("requestBody")),
        answers=Markup("").join(_answer(status, answer) for status, answer in sorted(one["responses"].items())),
    )


def _table(parameters: list[Schema]) -> Markup:
    rows = Markup("").join(
        Markup("<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>").format(
            one["name"], one["in"], _short(one["schema"]), one["description"]
        )
        for one in parameters
    )
    return Markup("<table>{}</table>").format(rows) if rows else Markup("")


def _body(body: Schema | None) -> Markup:
    if body is None:
        return Markup("")
    return Markup("").join(
        Markup("<p>Body: <code>{}</code> {}</p>{}").format(
            kind, _short(media["schema"]), _example(media.get("example"))
        )
        for kind, media in body["content"].items()
    )


def _example(example: Any) -> Markup:
    if example is None:
        return Markup("")
    text = example if isinstance(example, str) else json.dumps(example, indent=2)
    return Markup("<pre>{}</pre>").format(text)


def _answer(status: str, answer: Schema) -> Markup:
    if "$ref" in answer:
        return Markup("<tr><td>{}</td><td>a problem</td><td></td></tr>").format(status)
    kinds = Markup(", ").join(
        Markup("<code>{}</code> {}").format(kind, _short(media["schema"]))
        for kind, media in answer.get("content", {}).items()
    )
    return Markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>").format(status, answer["description"], kinds)


def _schema(name: str, schema: Schema) -> Markup:
    rows = Markup("").join(
        Markup("<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>").format(
            field, _short(inner), inner.get("description", "")
        )
        for field, inner in schema.get("properties", {}).items()
    )
    return Markup('<details id="{0}"><summary><code>{0}</code></summary><p>{1}</p><table>{2}</table></details>').format(
        name, schema.get("description", ""), rows
    )


def _short(schema: Schema) -> Markup:
    """A short description of a schema, with a link to the shape that it refers to."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" or ").join(_short(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return Markup("list of {}").format(_short(schema.get("items", {})))
    if "enum" in schema:
        words = Markup(", ").join(escape(one) for one in schema["enum"])
    else:
        words = escape(schema.get("type", schema.get("const", "any")))
    default = (
        Markup(", by default <code>{}</code>").format(json.dumps(schema["default"])) if "default" in schema else ""
    )
    return Markup("{}{}{}").format(words, _range(schema), default)


def _range(schema: Schema) -> str:
    low = schema.get("minimum", schema.get("minLength"))
    high = schema.get("maximum", schema.get("maxLength"))
    return "".join((f" from {low}" if low is not None else "", f" to {high}" if high is not None else ""))
