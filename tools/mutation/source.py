# SPDX-License-Identifier: MIT
"""C source as tools/mutate sees it: tokens, functions, statements and conditions.

This is no compiler: it relies on the formatting that .clang-format gives, and on every
mutant being compiled afterwards.
"""
import re

# Comments, literals and preprocessor lines: their text is not code.
NOT_CODE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*|//[^\n]*|/\*.*?\*/|"
                      r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S | re.M)
TOKEN = re.compile(r"[A-Za-z_]\w*|0[xX][0-9a-fA-F]+[uUlL]*|\d[\w.]*|->|\+\+|--|<<=|>>=|\.\.\.|"
                   r"[-+*/%&|^=!<>]=|&&|\|\||<<|>>|[^\s\w]")
NAME = re.compile(r"[A-Za-z_]\w*$")
ONE_LINE = re.compile(r"^[a-z].*?\b(\w+)\([^{;]*\)\s*(\{.*\})$")
OPEN, CLOSE = "([{", ")]}"
CONTROL = ("if", "while", "for", "switch")
# An identifier in front of these ends an operand.
TYPE_WORDS = ("const", "static", "struct", "union", "enum", "unsigned", "signed", "int", "long",
              "char", "short", "bool", "void", "volatile", "typeof", "register", "size_t")


class Token:
    __slots__ = ("start", "end", "text")

    def __init__(self, start, end, text):
        self.start, self.end, self.text = start, end, text

    def __repr__(self):
        return self.text


class Statement:
    """A simple statement, [first, last] of the function's tokens; last is the semicolon."""

    def __init__(self, kind, tokens, block):
        self.kind = kind      # call, assign, declare, return, goto, jump or other
        self.tokens = tokens
        self.block = block    # neighbours are in the same one, one behind the other
        self.start, self.end = tokens[0].start, tokens[-1].end


class Function:
    def __init__(self, name, start, end, tokens):
        self.name, self.start, self.end, self.tokens = name, start, end, tokens
        self.statements = []
        self.conditions = []  # (keyword, first token, last token) inside the parentheses
        self.labels = []
        self.partner = self._partners()
        self._statements()

    def _partners(self):
        """{index of a bracket: index of the other}"""
        stack, partner = [], {}
        for i, t in enumerate(self.tokens):
            if t.text in OPEN:
                stack.append(i)
            elif t.text in CLOSE and stack:
                partner[i] = stack[-1]
                partner[stack.pop()] = i
        return partner

    def _statements(self):
        i, end, block = 0, len(self.tokens), 0
        while i < end:
            # Behind an if without braces is another block than inside it.
            alone = i and (self.tokens[i - 1].text in ("else", "do") or
                           self.tokens[i - 1].text == ")")
            text = self.tokens[i].text
            following = self.tokens[i + 1].text if i + 1 < end else ""
            if text in "{};" or text in ("else", "do"):
                block += 1
                i += 1
            elif text in CONTROL and following == "(":
                close = self.partner.get(i + 1, end - 1)
                self._condition(text, i + 2, close)
                block += 1
                i = close + 1
            elif text in ("case", "default"):
                while i < end and self.tokens[i].text != ":":
                    i += 1
                block += 1
                i += 1
            elif NAME.match(text) and following == ":":
                self.labels.append(text)
                block += 1
                i += 2
            elif self._is_loop_macro(i):
                block += 1
                i = self.partner[i + 1] + 1
            else:
                i = self._simple(i, block)
                block += bool(alone)

    def _is_loop_macro(self, i):
        if i + 1 >= len(self.tokens) or self.tokens[i + 1].text != "(":
            return False
        behind = self.partner.get(i + 1, len(self.tokens)) + 1
        return behind < len(self.tokens) and (
            self.tokens[behind].text == "{" or bool(NAME.match(self.tokens[behind].text)))

    def _condition(self, keyword, first, close):
        if keyword == "for":
            parts = [k for k in range(first, close) if self.tokens[k].text == ";"]
            if len(parts) == 2:
                first, close = parts[0] + 1, parts[1]
        if first < close and keyword != "switch":
            self.conditions.append((keyword, self.tokens[first], self.tokens[close - 1]))

    def _simple(self, i, block):
        j = i
        while j < len(self.tokens) and self.tokens[j].text != ";":
            if self.tokens[j].text in CLOSE:
                return j + 1  # the end of a block without a semicolon: a macro's
            j = self.partner.get(j, j) + 1 if self.tokens[j].text in OPEN else j + 1
        tokens = self.tokens[i:j + 1]
        if len(tokens) > 1:
            self.statements.append(Statement(self._kind(i, j), tokens, block))
        return j + 1

    def _kind(self, i, end):
        words = [t.text for t in self.tokens[i:end]]
        if words[0] in ("return", "goto"):
            return words[0]
        if words[0] in ("break", "continue"):
            return "jump"
        if words[0] in TYPE_WORDS or (len(words) > 1 and NAME.match(words[0]) and (
                NAME.match(words[1]) or (words[1] == "*" and words[0] != "return"))):
            return "declare"
        if self._is_call(i, end):
            return "call"
        depth = 0
        for word in words:
            depth += (word in OPEN) - (word in CLOSE)
            if not depth and (word in ("++", "--") or (word.endswith("=") and
                                                       word not in ("==", "!=", "<=", ">="))):
                return "assign"
        return "other"

    def _is_call(self, i, end):
        if [t.text for t in self.tokens[i:i + 3]] == ["(", "void", ")"]:
            i += 3
        while i + 1 < end and self.tokens[i].text != "(":
            if not NAME.match(self.tokens[i].text) and self.tokens[i].text not in ("->", "."):
                return False
            i += 1
        return i < end and self.partner.get(i) == end - 1


class Source:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.code = NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
        self.functions = list(self._functions())

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def line_text(self, offset):
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return self.text[start:end if end >= 0 else len(self.text)]

    def _tokens(self, start, end):
        return [Token(m.start(), m.end(), m[0]) for m in TOKEN.finditer(self.code, start, end)]

    def _functions(self):
        lines = self.code.split("\n")
        offset, opened, head = 0, None, []
        for line in lines:
            one = ONE_LINE.match(line)
            if one and opened is None:
                yield Function(one[1], offset + one.start(2), offset + one.end(2),
                               self._tokens(offset + one.start(2) + 1, offset + one.end(2) - 1))
            elif line.startswith("{") and head:
                names = [n for n in re.findall(r"([A-Za-z_]\w*)\s*\(", " ".join(head))
                         if n != "__attribute__"]
                opened = (names[0] if names else "?", offset + 1)
            elif line.startswith("}"):
                if opened:
                    yield Function(opened[0], opened[1], offset,
                                   self._tokens(opened[1], offset))
                opened, head = None, []
            elif opened is None:
                head = head + [line] if line.strip() and not line.endswith(";") else []
            offset += len(line) + 1
