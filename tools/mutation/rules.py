# SPDX-License-Identifier: MIT
"""The changes that tools/mutate makes, one function a rule.

A rule is called with a function of a source and yields (start, end, replacement) of the
source's text. A change keeps the number of lines, so that what __LINE__ says stays.
"""
import hashlib
import re

from mutation.source import NAME, TYPE_WORDS, CLOSE

COMPARE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
LOGIC = {"&&": "||", "||": "&&"}
ARITHMETIC = {"+": "-", "-": "+", "<<": ">>", ">>": "<<", "|": "&", "&": "|",
              "+=": "-=", "-=": "+=", "|=": "&="}
NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$")
ERRNO = re.compile(r"E[A-Z]+$")
# What only checks, explains or prepares is not mutated: to take it out breaks nothing.
ASIDE = re.compile(r"(BUG_ON|VM_WARN_ON|VM_BUG_ON|static_assert|_Static_assert|(\w+_)?assert_\w+|"
                   r"report_broken|TRACE|prefetch|__builtin_prefetch|un?poison_\w+|poison_\w+|"
                   r"cpu_relax|nap_between_looks|tsan_\w+|rank_\w+)$")


def keep_lines(text, replacement):
    """replacement, with as many newlines as text."""
    return replacement + "\n" * (text.count("\n") - replacement.count("\n"))


def condition_of(function, i):
    """Where the if begins whose only statement is the call at i; else i."""
    opening = function.partner.get(i - 1) if i and function.tokens[i - 1].text == ")" else None
    alone = opening and function.tokens[opening - 1].text == "if"
    return opening - 1 if alone else i


def aside_spans(function):
    """Texts of the function that are not mutated."""
    for i, token in enumerate(function.tokens[:-1]):
        if ASIDE.match(token.text) and function.tokens[i + 1].text == "(":
            close = function.partner.get(i + 1)
            if close:
                yield function.tokens[condition_of(function, i)].start, function.tokens[close].end


def is_binary(function, i):
    """Whether the operator at i has a left operand."""
    before = function.tokens[i - 1].text if i else "("
    if before in (")", "]"):
        # "(type *)" and "(unsigned long)-1": a cast is no operand
        opening = function.partner.get(i - 1)
        inside = [t.text for t in function.tokens[opening + 1:i - 1]] if opening is not None else []
        return not (before == ")" and inside and (inside[0] in TYPE_WORDS or inside[-1] == "*"))
    return bool(NAME.match(before) or NUMBER.match(before)) and before not in (
        "return", "case", "else", "goto", "sizeof")


def in_declaration(function, token):
    """Whether token is the * or & of a declarator: only there is "type *name" no product."""
    return any(s.kind == "declare" and s.start <= token.start < s.end and
               "=" not in [t.text for t in s.tokens if t.start < token.start]
               for s in function.statements)


def replaced_operators(function, table):
    for i, token in enumerate(function.tokens):
        if token.text in table and is_binary(function, i) and not in_declaration(function, token):
            yield token.start, token.end, table[token.text]


def compare(source, function):
    """< to <=, == to !=, ..."""
    return replaced_operators(function, COMPARE)


def logic(source, function):
    """&& to ||, || to &&"""
    return replaced_operators(function, LOGIC)


def arithmetic(source, function):
    """+ to -, << to >>, | to &, and the reverse"""
    return replaced_operators(function, ARITHMETIC)


def force(source, function):
    """if (x) to if (1) and if (0), while (x) to while (0)"""
    for keyword, first, last in function.conditions:
        text = source.text[first.start:last.end]
        for value in ("0", "1") if keyword == "if" else ("0",):
            yield first.start, last.end, keep_lines(text, value)


def negate(source, function):
    """if (x) to if (!(x)), !x to x, true to false"""
    for keyword, first, last in function.conditions:
        if keyword == "if":
            yield first.start, last.end, f"!({source.text[first.start:last.end]})"
    for i, token in enumerate(function.tokens):
        if token.text == "!" and not is_binary(function, i):
            yield token.start, token.end, ""
        elif token.text in ("true", "false"):
            yield token.start, token.end, "false" if token.text == "true" else "true"


def removed(source, statement):
    return (statement.start, statement.end,
            keep_lines(source.text[statement.start:statement.end], ";"))


def drop_call(source, function):
    """a call whose result is not used is taken out"""
    return (removed(source, s) for s in function.statements if s.kind == "call")


def drop_assign(source, function):
    """an assignment, ++ or -- is taken out"""
    return (removed(source, s) for s in function.statements if s.kind == "assign")


def constant(source, function):
    """a number is one more, and one less"""
    for token in function.tokens:
        match = NUMBER.match(token.text)
        if match:
            yield token.start, token.end, f"({token.text} + 1)"
            if int(match[1], 0 if match[1][:2].lower() == "0x" else 10):
                yield token.start, token.end, f"({token.text} - 1)"


def independent(function, one, two):
    """Whether one of them only counts or sets a local variable that the other does not name."""
    names = [{t.text for t in s.tokens if NAME.match(t.text)} for s in (one, two)]
    if names[0] & names[1]:
        return False
    local = {t.text for s in function.statements if s.kind == "declare" for t in s.tokens}
    for statement, its in zip((one, two), names):
        words = {t.text for t in statement.tokens}
        if statement.kind == "assign" and its <= local | {"NULL", "true", "false"} and not (
                words & {"->", "*", "(", "[", "."}):
            return True
    return False


def swap(source, function):
    """two neighbouring statements change places, one of which is a call"""
    for one, two in zip(function.statements, function.statements[1:]):
        if (one.block != two.block or one.tokens[-1].end >= two.start or
                "call" not in (one.kind, two.kind) or
                not {one.kind, two.kind} <= {"call", "assign"} or
                independent(function, one, two)):
            continue
        between = source.text[one.end:two.start]
        if between.strip():
            continue  # a comment
        first, second = source.text[one.start:one.end], source.text[two.start:two.end]
        yield one.start, two.end, second + between + first


def error(source, function):
    """return -EINVAL and return err say 0"""
    for s in function.statements:
        words = [t.text for t in s.tokens[1:-1]]
        if s.kind == "return" and (words in (["err"], ["ret"]) or (
                len(words) == 2 and words[0] == "-" and ERRNO.match(words[1]))):
            yield s.start, s.end, "return 0;"


def leave(source, function):
    """a return of nothing, a break, a continue or a goto is taken out or leads elsewhere"""
    for s in function.statements:
        words = [t.text for t in s.tokens]
        if s.kind == "goto":
            for label in function.labels:
                if label != words[1]:
                    yield s.start, s.end, f"goto {label};"
        elif s.kind == "jump":
            yield removed(source, s)
            yield s.start, s.end, "continue;" if words[0] == "break" else "break;"
        elif words == ["return", ";"]:
            yield removed(source, s)


RULES = {f.__name__: f for f in (compare, logic, arithmetic, force, negate, drop_call,
                                 drop_assign, constant, swap, error, leave)}


class Mutant:
    def __init__(self, source, function, rule, change):
        self.path, self.function, self.rule = source.path, function.name, rule
        self.start, self.end, self.replacement = change
        self.line = source.line_of(self.start)
        self.last_line = source.line_of(self.end)
        self.old = self._lines(source.text, self.start, self.end)
        changed = self.apply(source.text)
        self.new = self._lines(changed, self.start, self.start + len(self.replacement))
        self.ident = None

    @property
    def room(self):
        return self.path.split("/")[1]

    @property
    def key(self):
        """The same at any place of the function in its file."""
        return self.path, self.function, self.old, self.new

    @staticmethod
    def _lines(text, start, end):
        first = text.rfind("\n", 0, start) + 1
        last = text.find("\n", end)
        lines = text[first:last if last >= 0 else len(text)].split("\n")
        return "\n".join(line.strip() for line in lines if line.strip())

    def apply(self, text):
        return text[:self.start] + self.replacement + text[self.end:]

    def diff(self):
        return ["- " + line for line in self.old.split("\n")] + [
            "+ " + line for line in self.new.split("\n")]


def mutants_of(source):
    """All mutants of a source, in the order of its text, each with its ident."""
    found, seen = [], {}
    for function in source.functions:
        if "prefetch" in function.name:
            continue
        aside = list(aside_spans(function))
        for rule, make in RULES.items():
            for change in make(source, function):
                if not any(a < change[1] and change[0] < b for a, b in aside):
                    found.append(Mutant(source, function, rule, change))
    found.sort(key=lambda m: (m.start, m.end, m.rule, m.replacement))
    for m in found:
        nth = seen[m.key] = seen.get(m.key, 0) + 1
        m.ident = hashlib.sha1("\0".join((*m.key, m.rule, str(nth))).encode()).hexdigest()[:10]
    return found
