"""docs/reference/http.md: the calls and their members, from the OpenAPI document."""

from collections.abc import Iterator
from typing import Any, Final

from app.main import create_app
from app.settings.settings import Settings
from tools.reference.markdown_table import GENERATED, code, render_table

Schema = dict[str, Any]
_REF: Final = "#/components/schemas/"
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_LONGEST_PATTERN: Final = 40


def render_page() -> str:
    """Return the page."""
    document = create_app(Settings()).openapi()
    lines = [
        "# HTTP API",
        "",
        GENERATED,
        "",
        "A running service shows the same at `/docs`, where each call can be tried, and gives it",
        "to programs at `/openapi.json` (OpenAPI 3.1). What each code means:",
        "[errors](errors.md).",
        "",
    ]
    operations = list(_operations(document))
    lines += render_table(
        ["call", ""],
        [
            [f"[{code(f'{method} {path}')}](#{operation['operationId']})", operation["summary"]]
            for method, path, operation in operations
        ],
    )
    lines += ["## Calls", ""]
    for method, path, operation in operations:
        lines += _call(method, path, operation)
    lines += [
        "## Members",
        "",
        "What answers hold. A name followed by `?` may be missing or null.",
        "",
    ]
    for name, schema in document["components"]["schemas"].items():
        lines += _members(name, schema)
    return "\n".join(lines).rstrip("\n") + "\n"


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _call(method: str, path: str, operation: Schema) -> list[str]:
    lines = [f"### {operation['operationId']}", "", f"{code(f'{method} {path}')}", ""]
    text = operation.get("description", "")
    lines += [_sentence(operation["summary"]), "", *([text, ""] if text else [])]
    query = [[code(each["name"]), _type(each["schema"]), each.get("description", "")]
             for each in operation.get("parameters", ())]  # fmt: skip
    if query:
        lines += ["Query and headers:", "", *render_table(["name", "type", "means"], query)]
    content = operation.get("requestBody", {}).get("content", {})
    form = content.get("multipart/form-data", {}).get("schema", {})
    if form:
        lines += ["Form fields (`multipart/form-data`):", ""]
        lines += render_table(["field", "type", "means"], _properties(form))
    bodies = [code(each) for each in content if each != "multipart/form-data"]
    if bodies:
        lines += [f"{'Or the' if form else 'The'} body itself: {', '.join(bodies)}.", ""]
    answers = [
        [status, _answer_type(answer), answer["description"]]
        for status, answer in operation["responses"].items()
    ]
    return [*lines, "Answers:", "", *render_table(["status", "content", "means"], answers)]


def _answer_type(answer: Schema) -> str:
    said = []
    for media_type, content in answer.get("content", {}).items():
        schema = content.get("schema", {})
        said.append(f"{_type(schema)} {code(media_type)}" if schema else code(media_type))
    return ", ".join(said)


def _members(name: str, schema: Schema) -> list[str]:
    lines = [f"### {name}", ""]
    if "description" in schema:
        lines += [schema["description"].partition("\n\n")[0], ""]
    if "properties" not in schema:
        return [*lines, f"{_type(schema)}.", ""]
    return [*lines, *render_table(["member", "type", "means"], _properties(schema))]


def _properties(schema: Schema) -> list[list[str]]:
    required = schema.get("required", ())
    return [
        [
            code(name if name in required else f"{name}?"),
            _type(each),
            each.get("description", ""),
        ]
        for name, each in schema["properties"].items()
    ]


def _type(schema: Schema) -> str:  # noqa: PLR0911 - a case each
    """Say a JSON Schema in a few words, with links to those that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(_type(each) for each in schema[several] if each != {"type": "null"})
    if "enum" in schema:
        return " ".join(code(str(each)) for each in schema["enum"] if each != "")
    if "const" in schema:
        return code(str(schema["const"]))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    if schema.get("format") == "binary":
        return "bytes"
    pattern = str(schema.get("pattern", ""))
    if pattern and len(pattern) < _LONGEST_PATTERN:
        return f"{kind} {code(pattern)}"
    return kind + _bounds(schema)


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    return f", from {low}" if low is not None else ""


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
