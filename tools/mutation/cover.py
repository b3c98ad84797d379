# SPDX-License-Identifier: MIT
"""Which tests run which lines of src/.

The library is built once more, with a probe at the beginning of each basic block
(-fsanitize-coverage=trace-pc), which marks its place in a file that the tool reads
afterwards, however the program ended. The map is kept in WORK/cover.json. A program
that changed is run again. A function that changed since is known as a whole, not by line.
"""
import hashlib
import json
import re
import subprocess
import time

from mutation.house import LIBRARY, must

PROBE = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#define SIZE (16ul << 20)
extern char __ehdr_start[] __attribute__((visibility("hidden")));
static unsigned char *marks;
__attribute__((constructor(101))) static void begin(void)
{
	const char *path = getenv("MUTATE_MARKS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (at != MAP_FAILED)
		marks = at;
}
void __sanitizer_cov_trace_pc(void)
{
	unsigned long at = (unsigned long)((char *)__builtin_return_address(0) - __ehdr_start);
	if (marks && at < SIZE && !marks[at])
		marks[at] = 1;
}
"""
SIZE = 16 << 20
TIMEOUT = 120  # seconds; what was marked until then counts
CALL = re.compile(r"^\s*([0-9a-f]+):\s+call.*__sanitizer_cov_trace_pc")
ANY = re.compile(r"^\s*([0-9a-f]+):\s")


def digest(data):
    return hashlib.sha1(data).hexdigest()


class Cover:
    def __init__(self, house, sources):
        self.house = house
        self.sources = sources  # {path: Source}
        self.folder = house.work / "cover"
        self.file = house.work / "cover.json"
        try:
            self.known = json.loads(self.file.read_text())
        except FileNotFoundError:
            self.known = {"functions": {}, "tests": {}}
        self.spans = {path: [(f.name, source.line_of(f.start), source.line_of(f.end),
                              digest(source.text[f.start:f.end].encode()))
                             for f in source.functions] for path, source in sources.items()}

    def function_at(self, path, line):
        """The probe at a function's entry has the line of its head, before the first line."""
        for name, first, last, text in self.spans.get(path, ()):
            if line <= last:
                return name, first, text
        return None

    def _is_new(self, mutant):
        """Whether its function was not there when the map was measured."""
        return mutant.function not in self.known.get("names", {}).get(mutant.path, [])

    def build(self, again, mutants):
        """Run what is new; everything if asked to, or if a mutant is in a function that is new."""
        if again or any(map(self._is_new, mutants)):
            self.known = {"functions": {}, "tests": {}}
        tests = {t: self._digest_of(t) for t in self.house.tests}
        missing = [t for t, d in tests.items()
                   if self.known["tests"].get(t, {}).get("program") != d]
        for gone in set(self.known["tests"]) - set(tests):
            del self.known["tests"][gone]
        if not missing:
            return
        places = self._build_library()
        whole = len(missing) == len(tests)
        if whole:
            self.known["functions"] = self._functions(places.values())
            self.known["names"] = {path: [span[0] for span in spans]
                                   for path, spans in self.spans.items()}
        for i, test in enumerate(missing, 1):
            print(f"\rcoverage: {i} of {len(missing)} {test:<40}", end="", flush=True)
            self.known["tests"][test] = dict(self._run(test, places), program=tests[test])
        print()
        self.file.write_text(json.dumps(self.known))

    def _digest_of(self, test):
        if test.startswith("cli/"):
            return digest((self.house.tree / "tests" / f"{test}.sh").read_bytes())
        return digest(self.house.program(test).read_bytes())

    def _functions(self, places):
        """{path: {function: [digest, offsets of its probes]}}"""
        found = {}
        for path, line in set(places):
            at = self.function_at(path, line)
            if at:
                entry = found.setdefault(path, {}).setdefault(at[0], [at[2], []])
                entry[1].append(line - at[1])
        return found

    def _build_library(self):
        """Compiled with probes; {address behind a probe: (path, line)}"""
        house, out = self.house, self.folder / LIBRARY
        house.compile_all(self.folder, "-O0", "-g", "-fsanitize-coverage=trace-pc")
        probe = self.folder / "probe"
        probe.with_suffix(".c").write_text(PROBE)
        must(["cc", "-O2", "-fPIC", "-c", probe.with_suffix(".c"), "-o", probe.with_suffix(".o")])
        objects = [house.object_of(s, self.folder) for s in house.sources]
        if not house.link([*objects, probe.with_suffix(".o")], out):
            raise SystemExit(f"the library with probes does not link:\n{house.complaint}")
        return self._places(out)

    def _places(self, library):
        behind, after = [], False
        for line in must(["objdump", "-d", "--no-show-raw-insn", library]).split("\n"):
            match = ANY.match(line)
            if match and after:
                behind.append(int(match[1], 16))
            after = bool(CALL.match(line))
        asked = "\n".join(hex(a - 1) for a in behind)
        answer = subprocess.run(["addr2line", "-e", library], input=asked, text=True,
                                capture_output=True, check=True).stdout.split("\n")
        places = {}
        for address, text in zip(behind, answer):
            path, _, line = text.partition(":")
            number = line.split()[0] if line else "?"
            at = path.find("/src/")
            if at >= 0 and number.isdigit():
                places[address] = (path[at + 1:], int(number))
        return places

    def _run(self, test, places):
        marks = self.folder / "marks"
        with open(marks, "wb") as f:
            f.truncate(SIZE)
        start = time.monotonic()
        self.house.run(test, self.folder, TIMEOUT, MUTATE_MARKS=str(marks))
        seconds = time.monotonic() - start
        data = marks.read_bytes()
        covered = {}
        for address, (path, line) in places.items():
            at = data[address] and self.function_at(path, line)
            if at:
                covered.setdefault(path, {}).setdefault(at[0], set()).add(line - at[1])
        return {"seconds": seconds, "lines": {path: {name: sorted(lines) for name, lines in functions.items()}
                                              for path, functions in covered.items()}}

    @property
    def seconds(self):
        """{test: how long it takes}, the probes included"""
        return {test: entry["seconds"] for test, entry in self.known["tests"].items()}

    def tests_of(self, mutant):
        """
        Two lists: the tests that run the mutant's line, and the others that run its function. A
        probe's line is that of the block that begins there, or of a branch on the same line: a test of
        the second list may run the line too.
        """
        name, first, text = self.function_at(mutant.path, mutant.line)
        then = self.known["functions"].get(mutant.path, {}).get(name)
        places = None
        if then and then[0] == text:
            before = [o for o in then[1] if o <= mutant.line - first]
            places = max(before) if before else None
        where = {test: entry["lines"].get(mutant.path, {}).get(name, [])
                 for test, entry in self.known["tests"].items()}
        near = [test for test, lines in where.items() if places in lines]
        return near, [test for test, lines in where.items() if lines and places not in lines]
