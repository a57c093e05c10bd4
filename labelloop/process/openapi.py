"""OpenAPI 3.1: the document of a service, made from its routes by spectree, and a page that shows it.

The routes themselves are not wrapped: spectree reads stand-ins with the same rules, so it neither checks nor slows a
request. The document is made when it is first asked for.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from flask import Blueprint, Flask, Response, current_app, jsonify, render_template_string

from labelloop.process.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from pydantic import BaseModel

PAGE = Path(__file__).with_name("docs.html")
JSON = "application/json"
HEADERS = {
    "Content-Security-Policy": "; ".join(
        ("default-src 'none'", "style-src 'unsafe-inline'", "frame-ancestors 'none'", "base-uri 'none'")
    ),
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One response of an operation."""

    words: str
    model: type[BaseModel] | None = None
    """None for an empty body, or if `media` is not JSON."""
    media: str = JSON
    headers: Mapping[str, str] | None = None
    """Words for each header."""
    more_media: Sequence[str] = ()
    """Other media types of the body, which a request of the same type gets."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Description of a route; its path and parameters are read from its rule."""

    summary: str
    tag: str
    answers: Mapping[int, Answer]
    """By status; errors have a problem as their body."""
    body: type[BaseModel] | None = None
    more_bodies: Mapping[str, str] | None = None
    """Other media types of the body, each with words."""
    query: type[BaseModel] | None = None
    description: str = ""
    security: str | None = "token"
    """Name of the security scheme; None for a route that is open to all."""


Operations = Mapping[tuple[str, str], Operation]
"""By method and rule."""


def blueprint(title: str, operations: Operations, schemes: Mapping[str, Mapping[str, str]]) -> Blueprint:
    """Return the routes /openapi.json and /docs, open to all. `schemes`: OpenAPI's security schemes by name."""
    bp = Blueprint("openapi", __name__)

    @cache
    def made() -> dict[str, Any]:
        return document(current_app._get_current_object(), title, operations, schemes)  # type: ignore[attr-defined]

    @bp.get("/openapi.json")
    def openapi() -> Response:
        """Return the OpenAPI document of this service."""
        return jsonify(made())

    @bp.get("/docs")
    def docs() -> Response:
        """Show the OpenAPI document as a page, without scripts and without other servers."""
        page = render_template_string(PAGE.read_text(), spec=made(), resolve=_resolver(made()))
        return Response(page, headers=HEADERS, mimetype="text/html")

    return bp


def document(
    app: Flask, title: str, operations: Operations, schemes: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of those routes of `app` that are in `operations`."""
    from spectree import Response as Responses
    from spectree import SpecTree

    api = SpecTree(
        "flask", title=title, version=version("labelloop"), mode="strict", annotations=False,
        naming_strategy=lambda model: model.__name__, nested_naming_strategy=lambda _, child: child,
        validation_error_status=500, validation_error_model=problem_model(),
    )  # fmt: skip
    stand_in = Flask(app.import_name, static_folder=None)
    stand_in.url_map.converters.update(app.url_map.converters)
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            said = operations.get((method, rule.rule))
            if said is None:
                continue
            codes = {f"HTTP_{status}": (_model(status, one), one.words) for status, one in said.answers.items()}

            def view() -> None:
                """Stand in for the route."""

            view.__doc__ = said.summary
            view.__name__ = f"{method}_{rule.endpoint}".replace(".", "_")
            documented = api.validate(
                json=said.body, query=said.query, resp=Responses(**codes), tags=[said.tag], skip_validation=True,
                security=[] if said.security is None else {said.security: []},
                operation_id=rule.endpoint.rpartition(".")[2],
            )(view)  # fmt: skip
            stand_in.add_url_rule(rule.rule, view.__name__, documented, methods=[method])
    api.app = stand_in
    with stand_in.app_context():
        spec: dict[str, Any] = api.spec
    spec["components"]["securitySchemes"] = {name: dict(scheme) for name, scheme in schemes.items()}
    for (method, path), said in operations.items():
        _complete(spec["paths"], method, path, said)
    return spec


def _model(status: int, said: Answer) -> type[BaseModel] | None:
    return problem_model() if status >= 400 and said.model is None and said.media == JSON else said.model


def _complete(paths: Mapping[str, Any], method: str, rule: str, said: Operation) -> None:
    """Add what spectree has no words for: media types, headers and descriptions."""
    path = "".join(f"{{{part.rpartition(':')[2]}}}" if n % 2 else part for n, part in enumerate(_parts(rule)))
    operation = paths.get(path, {}).get(method.lower())
    if operation is None:
        return
    operation["description"] = said.description
    for parameter in operation["parameters"]:
        if parameter["schema"] is None:  # spectree does not know the converter
            parameter["schema"] = {"type": "string"}
    for media, words in (said.more_bodies or {}).items():
        operation["requestBody"]["content"][media] = {"schema": {"type": "string", "description": words}}
    for status, response in operation["responses"].items():
        one = said.answers.get(int(status), Answer("The service has a fault; its log has the cause"))
        response["description"] = one.words
        if one.media != JSON:
            response["content"] = {one.media: {"schema": {"type": "string"}}}
        elif int(status) >= 400 and one.model is None:
            response["content"] = {MEDIA_TYPE: response["content"][JSON]}
        for media in one.more_media:
            response["content"][media] = {"schema": {"type": "string", "format": "binary"}}
        if one.headers:
            response["headers"] = {
                name: {"description": words, "schema": {"type": "string"}} for name, words in one.headers.items()
            }


def _parts(rule: str) -> list[str]:
    """Return the pieces of a rule: texts and, at odd places, arguments."""
    return rule.replace(">", "<").split("<")


@cache
def problem_model() -> type[BaseModel]:
    """Return the model of a problem (RFC 9457)."""
    from pydantic import BaseModel, ConfigDict, Field

    class Problem(BaseModel):
        """An error of a request, by RFC 9457; some have further members."""

        model_config = ConfigDict(extra="allow")
        type: str = Field(description="about:blank: the status says what kind of problem it is")
        title: str = Field(description="Name of the status")
        status: int
        detail: str = Field(description="The value that was given, and one that would do")
        instance: str | None = Field(None, description="Path of the request")
        path: str | None = Field(None, description="Field or parameter at fault; empty for the whole request")
        line: int | None = Field(None, description="Line at fault, from 1")
        key: str | None = Field(None, description="Key of the output at fault")
        error: str = Field(description="The detail once more, for older clients", deprecated=True)

    return Problem


def model_of(cls: type, name: str = "", **changes: Any) -> type[BaseModel]:
    """Return a pydantic model with the fields of a dataclass, described by the texts below them. It refuses others.

    `changes`: field name to the type in JSON, if the dataclass has another.
    """
    from pydantic import ConfigDict, Field, create_model

    assert is_dataclass(cls)
    hints, words = get_type_hints(cls), _field_docs(cls)
    made: dict[str, Any] = {}
    for field in fields(cls):
        default = ... if field.default is MISSING else field.default
        in_json = changes.get(field.name, hints[field.name])
        made[field.name] = (in_json, Field(default, description=words.get(field.name)))
    doc = (inspect.getdoc(cls) or "").partition("\n\n")[0]
    return create_model(name or cls.__name__, __config__=ConfigDict(extra="forbid"), __doc__=doc, **made)


def _field_docs(cls: type) -> dict[str, str]:
    """Return the text below each field of a class."""
    body: Sequence[ast.stmt] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body[0], ast.ClassDef)
    found = {}
    for field, text in zip(body[0].body, body[0].body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                found[name] = inspect.cleandoc(words)
    return found


def _resolver(spec: Mapping[str, Any]) -> Any:
    """Return a function that gives the name of the schema that a part of the document refers to, or its type."""

    def resolve(schema: Mapping[str, Any] | None) -> str:
        if not schema:
            return "any"
        if "$ref" in schema:
            return str(schema["$ref"]).rpartition("/")[2]
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(resolve(one) for one in schema["anyOf"]))
        if "enum" in schema:
            return " | ".join(map(str, schema["enum"]))
        if schema.get("type") == "array":
            return f"list of {resolve(schema.get('items'))}"
        return str(schema.get("type", "any"))

    return resolve
