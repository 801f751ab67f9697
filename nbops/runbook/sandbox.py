"""Jinja2 for runbooks: sandboxed, strict, native types, with secrets that stay secret.

Every way in which an expression can use a value (operators, comparisons, filters, tests,
calls, attributes, joining of text) is intercepted: secrets are revealed for the operation
and what it gives is marked again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.environment import Template
from jinja2.lexer import TokenStream
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace, missing

from nbops.base.errors import ActionFailed
from nbops.base.secret import Secret
from nbops.runbook.bounds import check_call, check_operator
from nbops.runbook.guard import guarded_filters, guarded_tests, withheld
from nbops.runbook.values import (
    MapView,
    Missing,
    SeqView,
    as_text,
    concat,
    defined,
    fail_if_missing,
    mark,
    plain,
    take,
)

# Methods whose only use is that they change a list or mapping; `pop` is used for its value too.
_CHANGING = frozenset(
    {"append", "clear", "extend", "insert", "remove", "reverse", "sort", "update"}
)


class Scope:
    """The variables that an expression sees: its own, then those of the host.

    `read` gives `missing` for an unknown name. `templar` is what lookups work with.
    """

    __slots__ = ("_inner", "_read", "templar")

    def __init__(
        self, read: Callable[[str], Any], templar: Any, inner: Mapping[str, Any] | None = None
    ) -> None:
        self._read = read
        self._inner = inner or {}
        self.templar = templar

    def read(self, name: str) -> Any:
        """The value of a name, or jinja2's `missing`."""
        if name in self._inner:
            return self._inner[name]
        return self._read(name)

    def within(self, inner: Mapping[str, Any]) -> Scope:
        """The same with further names over it."""
        return Scope(self.read, self.templar, inner) if inner else self


def _nothing(_: str) -> Any:
    return missing


class ScopeContext(Context):
    """A jinja2 context that asks a Scope instead of holding all variables."""

    scope: Scope

    def resolve_or_missing(self, key: str) -> Any:
        """The value of a name: set in the template, then variables, then globals."""
        if key in self.vars:
            return self.vars[key]
        value = self.scope.read(key)
        return self.environment.globals.get(key, missing) if value is missing else value

    def get_all(self) -> dict[str, Any]:
        """The scope that an included template sees."""
        return self.scope.within(self.vars)  # type: ignore[return-value]


class ScopeTemplate(Template):
    """A template whose contexts are made from a Scope without copying variables."""

    def new_context(
        self,
        vars: Any = None,  # noqa: A002
        shared: bool = False,  # noqa: ARG002
        locals: Mapping[str, Any] | None = None,  # noqa: A002
    ) -> Context:
        """A context over the Scope given as `vars`."""
        scope = vars if isinstance(vars, Scope) else Scope(_nothing, None, vars)
        inner = {k: v for k, v in (locals or {}).items() if v is not missing}
        context = ScopeContext(self.environment, {}, self.name, self.blocks, self.globals)
        context.scope = scope.within(inner)
        return context


class _Generator(NativeCodeGenerator):
    """Compares and joins through the environment, so that secrets are seen."""

    def _output_child_to_const(
        self,
        node: nodes.Expr,
        frame: Frame,
        finalize: CodeGenerator._FinalizeInfo,  # noqa: ARG002
    ) -> Any:
        """Only text is put together beforehand: `{{ 3 }}` stays a number."""
        if isinstance(node, nodes.TemplateData):
            return node.as_const(frame.eval_ctx)
        raise nodes.Impossible

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        self.write("(environment.operand(")
        self.visit(node.expr, frame)
        self.write(")")
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:  # noqa: N802
        function = "container" if node.op in {"in", "notin"} else "operand"
        self.write(f" {operators[node.op]} environment.{function}(")
        self.visit(node.expr, frame)
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.getitem(")
        self.visit(node.node, frame)
        self.write(", slice(")
        for part in (node.arg.start, node.arg.stop, node.arg.step):
            self.visit(part or nodes.Const(None), frame)
            self.write(", ")
        self.write("))")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.tilde((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class RunbookEnvironment(SandboxedEnvironment):
    """The environment of all expressions and template files."""

    code_generator_class: type[CodeGenerator] = _Generator
    context_class = ScopeContext
    template_class = ScopeTemplate
    intercepted_binops = frozenset(SandboxedEnvironment.default_binop_table)
    intercepted_unops = frozenset(SandboxedEnvironment.default_unop_table)
    raw_strings = False

    @staticmethod
    def concat(values: Iterable[Any]) -> Any:
        """Pieces of a template, set block or macro as one value."""
        return concat(list(values))

    @staticmethod
    def tilde(values: tuple[Any, ...]) -> str | Secret:
        """The `~` operator: unlike in text, None is the word `None`."""
        return as_text([str(value) if value is None else value for value in values])

    @staticmethod
    def operand(value: Any) -> Any:
        """A side of a comparison, secrets revealed: what comes out is a truth value."""
        return take(value)[0]

    @staticmethod
    def container(value: Any) -> Any:
        """The right side of `in`: asking for a key renders no value."""
        return value if isinstance(value, Mapping) else take(value)[0]

    def call_binop(
        self,
        context: Context,  # noqa: ARG002
        operator: str,
        left: Any,
        right: Any,
    ) -> Any:
        """An arithmetic operator; lists are joined with their secrets in place."""
        if operator == "+" and isinstance(left, list | tuple | SeqView):
            fail_if_missing(right)
            right = list(right) if isinstance(right, SeqView) else right
            return (left if isinstance(left, tuple) else list(left)) + right
        (a, secret), (b, too) = take(left), take(right)
        check_operator(operator, a, b)
        result = withheld(secret or too, lambda: self.binop_table[operator](a, b))
        return mark(result) if secret or too else result

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:  # noqa: ARG002
        """`+x` and `-x`."""
        value, secret = take(arg)
        result = withheld(secret, lambda: self.unop_table[operator](value))
        return mark(result) if secret else result

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: attribute first, then item, as in jinja2."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, Secret):
            return self._of_secret(obj, attribute)
        if isinstance(obj, MapView | SeqView) and not hasattr(obj, attribute):
            kind = dict if isinstance(obj, MapView) else list
            if attribute in _CHANGING:
                raise ActionFailed(
                    f"`{attribute}` would change a variable, which no expression can",
                    hint="make a new value: `LIST + [ITEM]`, `MAPPING | combine({KEY: VALUE})`",
                )
            if hasattr(kind, attribute):
                obj = plain(obj)
        elif hasattr(obj, "read") and isinstance(obj, Mapping):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`: item first, then attribute, as in jinja2."""
        if isinstance(obj, Undefined):
            return obj
        fail_if_missing(argument)
        if isinstance(argument, Secret):
            argument = argument.reveal()
        if isinstance(obj, Secret):
            if isinstance(argument, int | slice):
                return mark(super().getitem(obj.reveal(), argument))
            return self._of_secret(obj, str(argument))
        if isinstance(obj, Mapping) and hasattr(obj, "read"):
            value = obj.read(argument)
            return self.undefined(obj=obj, name=argument) if value is missing else value
        return super().getitem(obj, argument)

    def _of_secret(self, secret: Secret, attribute: str) -> Any:
        found = super().getattr(secret.reveal(), attribute)
        if not callable(found) or isinstance(found, Undefined):
            return found

        def method(*args: Any, **kwargs: Any) -> Any:
            given = [take(arg)[0] for arg in args]
            named = {key: take(value)[0] for key, value in kwargs.items()}
            return mark(withheld(True, lambda: found(*given, **named)))

        return method

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """A call in an expression."""
        if isinstance(__obj, Undefined):
            fail_if_missing(__obj)
        owner = getattr(__obj, "__self__", None)
        if (
            isinstance(__obj, Macro | Joiner)
            or __obj in (dict, Namespace, Cycler, Joiner)
            or isinstance(owner, list | dict | MapView | SeqView | Cycler)
        ):
            return super().call(__context, __obj, *args, **kwargs)
        given = [take(arg) for arg in args]
        named = {
            key: (value, False) if key in {"_loop_vars", "_block_vars", "caller"} else take(value)
            for key, value in kwargs.items()
        }
        secret = any(found for _, found in [*given, *named.values()])
        words = (value for value, _ in (*given, *named.values()))
        text = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)  # of `format`
        check_call(getattr(__obj, "__name__", ""), text, words)
        call = functools.partial(
            super().call,
            __context,
            __obj,
            *(value for value, _ in given),
            **{key: value for key, (value, _) in named.items()},
        )
        result = withheld(secret, call)
        return mark(result) if secret else result

    def _tokenize(
        self,
        source: str,
        name: str | None,
        filename: str | None = None,
        state: str | None = None,
    ) -> TokenStream:
        """Tokens; with `raw_strings`, a backslash in a text inside `{{ }}` means itself."""
        if not self.raw_strings:
            return super()._tokenize(source, name, filename, state)
        source = self.preprocess(source, name, filename)
        tokens = self.lexer.tokeniter(source, name, filename, state)
        return TokenStream(self.lexer.wrap(_doubled(tokens), name, filename), name, filename)

    def expression(self, text: str) -> Template:
        """An expression without braces as a template whose one piece is its value.

        Raises jinja2's TemplateSyntaxError.
        """
        parser = Parser(self, text, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail("chunk after expression")
        tree = nodes.Template([nodes.Output([expression])], lineno=1)
        tree.set_environment(self)
        return self.from_string(tree)


def _doubled(tokens: Iterator[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
    inside = False
    for line, kind, value in tokens:
        if kind == "variable_begin":
            inside = True
        elif kind == "variable_end":
            inside = False
        text = value.replace("\\", "\\\\") if inside and kind == "string" else value
        yield line, kind, text


def _with_long_names(short: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return short | {f"ansible.builtin.{name}": function for name, function in short.items()}


def make_environment(
    filters: Mapping[str, Callable[..., Any]],
    tests: Mapping[str, Callable[..., Any]],
    extra_globals: Mapping[str, Any],
    **options: Any,
) -> RunbookEnvironment:
    """An environment with the given filters and tests beside jinja2's own."""
    environment = RunbookEnvironment(
        **{
            "undefined": Missing,
            "finalize": defined,
            "trim_blocks": True,
            "cache_size": 200,
            "auto_reload": False,
        }
        | options
    )
    every: Any = environment
    every.filters.pop("random", None)  # a resumed run would see another value
    every.filters = _with_long_names(guarded_filters({**every.filters, **filters}))
    every.tests = _with_long_names(guarded_tests({**every.tests, **tests}))
    environment.globals.pop("lipsum", None)
    environment.globals.update(extra_globals)
    return environment
