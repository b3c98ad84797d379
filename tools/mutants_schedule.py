# SPDX-License-Identifier: MIT
"""What tools/mutants does with the scheduler (docs/concurrency.md) and with torture."""
import dataclasses
import os
import re
import subprocess
import time

SECONDS = 10  # of a search


def split(schedule):
    """tlb:flush --seed=6 -> (tlb, flush, [--seed=6])"""
    where, *options = schedule.split()
    program, _, scenario = where.partition(":")
    return program, scenario, options


def missing(root, schedule):
    """What a patch's first line names, and is not there."""
    if not schedule:
        return []
    program, scenario, options = split(schedule)
    source = root / "tests" / "schedule" / f"{program}.c"
    if not source.exists() or f'.name = "{scenario}"' not in source.read_text():
        return [f"schedule/{program}:{scenario}"]
    return [] if any(o.startswith("--seed=") for o in options) else ["--seed="]


@dataclasses.dataclass
class Found:
    """What the scheduler has found, and by which schedules."""

    verdict: str = ""
    options: str = ""  # of the failing schedule; empty: none has failed
    schedules: int = 0
    ms: float = 0  # of the search
    replayed: float = None  # ms of the patch's own schedule; None: it does not fail


def run(command):
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS * 6, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command}: status {done.returncode}\n{done.stdout.decode()[-2000:]}")
    return done.returncode == 1, done.stdout.decode(errors="replace"), \
        (time.monotonic() - start) * 1000


def find(folder, schedule):
    program, scenario, options = split(schedule)
    one = [folder / program, f"--scenario={scenario}"]
    failed, text, ms = run([*one, "--schedules=0", f"--seconds={SECONDS}"])
    found = Found(ms=ms)
    line = re.search(rf"^{scenario}: ([\w-]+) after (\d+) schedules", text, re.M)
    found.schedules = int(line[2])
    if failed:
        found.verdict = line[1]
        replay = re.search(rf"^replay: .* --scenario={scenario} (.*) --schedules=1$", text, re.M)
        found.options = replay[1]
    if options:
        failed, _, ms = run([*one, *options, "--schedules=1"])
        found.replayed = ms if failed else None
    return found


def torture(command, seconds):
    """How long it takes to notice."""
    start = time.monotonic()
    try:
        done = subprocess.run([command, "torture", f"--secs={seconds}"],
                              env=dict(os.environ, SAMARA_FATAL_WARNINGS="1"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=seconds + 15, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    if not done.returncode:
        return f"not in {seconds} s"
    return f"{time.monotonic() - start:.1f} s"


def heads(args):
    return ["mutant", "scenario", "found as", "first seed", "schedules", "ms", "its schedule",
            *(["unit tests"] if args.unit else []),
            *(["torture"] if args.torture is not None else [])]


def cells(found):
    """Of a row."""
    replay = "-" if found.replayed is None else f"{found.replayed:.0f} ms"
    if not found.options:
        return [f"not in {SECONDS} s", "", str(found.schedules), f"{found.ms:.0f}", replay]
    return [found.verdict, f"`{found.options}`", str(found.schedules), f"{found.ms:.0f}", replay]


def note(path, options):
    """The schedule into the patch's first line."""
    text = path.read_text()
    first, rest = text.split("\n", 1)
    words = [w for w in first.split() if not w.startswith("--")]
    path.write_text(" ".join([*words, options]) + "\n" + rest)
