# SPDX-License-Identifier: MIT
"""The copy of the tree in which tools/mutate builds, links and runs.

    WORK/tree      what the checkout holds, synchronised by contents
    WORK/build     the tests and the command, linked with a libsamara.so that shows all symbols
    WORK/objects   src/ compiled as mutants are: without debug information
    WORK/workerN   src/ and include/ once more, one file of them changed, and the library of it;
                   of a header also the tests of its room, which compile it in themselves

A mutant costs one compilation and one linking; the programs find its library by
LD_LIBRARY_PATH.
"""
import filecmp
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import threading
import time
from multiprocessing.pool import ThreadPool

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PARTS = ["CMakeLists.txt", "bench", "cli", "cmake", "docs", "examples", "include", "src", "tests"]
SCRIPTS = ["check", "replay", "show"]  # of tests/cli
MEMORY = 3 << 30  # bytes: a program that has more in memory has been broken by a mutant
LIBRARY = "libsamara.so.0"


def synchronise(source, target):
    """target becomes as source is; files that are the same keep their time stamps."""
    if source.is_file():
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        return
    target.mkdir(parents=True, exist_ok=True)
    names = {p.name for p in source.iterdir() if p.name != "__pycache__"}
    for old in target.iterdir():
        if old.name not in names:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name in names:
        synchronise(source / name, target / name)


def must(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"{command}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


class House:
    def __init__(self, work):
        self.work = work.resolve()
        self.lock = threading.Lock()
        self.tree, self.build = self.work / "tree", self.work / "build"
        self.objects = self.work / "objects"
        for part in PARTS:
            synchronise(ROOT / part, self.tree / part)
        if not (self.build / "build.ninja").exists():
            must(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja",
                  "-DCMAKE_BUILD_TYPE=Debug", "-DSAMARA_OPEN=ON", "-DSAMARA_BENCH=OFF"])
        self.tests = self._tests()
        targets = [t.replace("/", "-") for t in self.tests if not t.startswith("cli/")]
        must(["cmake", "--build", self.build, "-j2", "--target", "samara_cli", *targets])
        self.sources = sorted(str(p.relative_to(self.tree))
                              for p in (self.tree / "src").glob("*/*.c"))
        self.commands = self._commands()
        self.libraries = must(["pkg-config", "--libs", "liburcu-bp"]).split()

    def _tests(self):
        folder = self.tree / "tests"
        found = [p for kind in ("unit/*", "model", "inject", "oracle")
                 for p in folder.glob(f"{kind}/*.c")]
        return sorted(str(p.relative_to(folder).with_suffix("")) for p in found) + [
            f"cli/{name}" for name in SCRIPTS]

    def _commands(self):
        """{source: how it is compiled, in a folder like the tree}"""
        commands = {}
        for entry in json.loads((self.build / "compile_commands.json").read_text()):
            path = pathlib.Path(entry["file"])
            name = str(path.relative_to(self.tree)) if path.is_relative_to(self.tree) else ""
            # Not where a test compiles a source of its own (tests/model/*.explored).
            ours = name in self.sources and "samara_objs.dir/" in entry["command"]
            if ours or name.startswith("tests/unit/"):
                words = shlex.split(entry["command"])
                first = next(i for i, w in enumerate(words) if w.startswith("-")) - 1
                out = words.index("-o")
                words = words[first:out] + words[out + 2:]
                drop = ("-c", "-g", "-Werror", entry["file"])
                commands[name] = [w.replace(f"{self.tree}/", "") for w in words if w not in drop]
        return commands

    def compile(self, name, folder, out, *options):
        """Whether the source of that name in that folder compiles."""
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [*self.commands[name], "-w", *options, "-c", name, "-o", str(out)]
        return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def object_of(self, name, objects=None):
        return ((objects or self.objects) / name).with_suffix(".o")

    def compile_all(self, objects, *options, names=None):
        """All sources that changed; the names of headers each includes stand beside it."""
        names = self.sources if names is None else names

        def one(name):
            out = self.object_of(name, objects)
            depends, how = out.with_suffix(".d"), out.with_suffix(".how")
            command = " ".join([*self.commands[name], *options])
            if how.exists() and how.read_text() == command and self._is_current(out, depends):
                return True
            how.unlink(missing_ok=True)
            done = self.compile(name, self.tree, out, "-MMD", "-MF", str(depends), *options)
            how.write_text(command if done else "")
            return done

        with ThreadPool(2) as pool:
            for name, done in zip(names, pool.map(one, names)):
                if not done:
                    raise SystemExit(f"{name} does not compile")

    def _is_current(self, out, depends):
        return out.exists() and all((self.tree / p).exists() and
                                    (self.tree / p).stat().st_mtime < out.stat().st_mtime
                                    for p in self._prerequisites(depends))

    @staticmethod
    def _prerequisites(depends):
        return depends.read_text().replace("\\\n", " ").split()[1:]

    def users(self, name):
        """The sources that a change of that file compiles anew."""
        if name.endswith(".c"):
            return [name]
        return [s for s in self.sources
                if name in self._prerequisites(self.object_of(s).with_suffix(".d"))]

    def tests_with(self, name):
        """The tests of a header's room that compile it in, of src/ as it is."""
        if name.endswith(".c"):
            return []
        room = f"unit/{name.split('/')[1]}/"
        sources = [f"tests/{t}.c" for t in self.tests if t.startswith(room)]
        with self.lock:
            self.compile_all(self.objects, names=sources)
        return [s for s in sources
                if name in self._prerequisites(self.object_of(s).with_suffix(".d"))]

    def link_test(self, source, changed, out):
        """As ninja links it, with that object in the place of its own."""
        test = source.removeprefix("tests/").removesuffix(".c")
        command = must(["ninja", "-t", "commands", "-s", f"tests/{test}"], cwd=self.build)
        own = f"tests/CMakeFiles/{test.replace('/', '-')}.dir/{test}.c.o"
        if own not in command or f"-o tests/{test} " not in command:
            raise SystemExit(f"{test} is linked in a way that is not known:\n{command}")
        out.parent.mkdir(parents=True, exist_ok=True)
        command = command.replace(own, shlex.quote(str(changed)))
        command = command.replace(f"-o tests/{test} ", f"-o {shlex.quote(str(out))} ")
        subprocess.run(command, shell=True, cwd=self.build, check=True, stdout=subprocess.DEVNULL)

    def link(self, objects, out, *options):
        compiler = self.commands[self.sources[0]][0]
        command = [compiler, "-shared", f"-Wl,-soname,{LIBRARY}", "-Wl,-Bsymbolic-functions",
                   *options, *map(str, objects), *self.libraries, "-pthread", "-o", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.complaint = done.stderr[-2000:]
        return done.returncode == 0

    def program(self, test):
        return self.build / "tests" / test

    def run(self, test, folder, timeout, **environment):
        """How the test failed with the library of that folder, None if it passed; its output."""
        env = dict(os.environ, SAMARA_FATAL_WARNINGS="1", LD_LIBRARY_PATH=str(folder),
                   TMPDIR=str(folder / "tmp"), MODEL_SECONDS="10", **environment)
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        changed = folder / "tests-of-header" / test
        command = [changed if changed.exists() else self.program(test)]
        if test.startswith("cli/"):
            env.update(SAMARA=str(self.build / "cli" / "samara"), SRC=str(ROOT))
            command = ["bash", self.tree / "tests" / f"{test}.sh"]
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        how = watch(process, timeout)
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind
        except ProcessLookupError:
            pass
        process.wait()
        return how, (folder / "output").read_bytes()[-4000:].decode(errors="replace")


def resident(pid):
    """Bytes that a process and its children have in memory."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * 4096 + sum(map(resident, children))


def watch(process, timeout):
    end = time.monotonic() + timeout
    while True:
        try:
            status = process.wait(timeout=0.25)
            break
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                return "hangs"
            if resident(process.pid) > MEMORY:
                return "takes memory"
    if status < 0:
        return f"signal {-status}"
    return f"status {status}" if status else None
