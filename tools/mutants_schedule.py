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
    if not source.exists() or f'"{scenario}"' not in source.read_text():
        return [f"schedule/{program}:{scenario}"]
    return [] if any(o.startswith("--seed=") for o in options) else ["--seed="]


@dataclasses.dataclass
class Found:
    """What the scheduler has found, and by which schedules."""

    verdict: str = ""
    options: str = ""  # of the failing schedule; empty: none has failed
    schedules: int = 0
    ms: float = 0  # of the search
    replayed: float = 0  # ms of the patch's own schedule; 0: it does not fail


def run(one, *options):
    """(verdict, schedules, output, ms) of a scenario; verdict is empty if all have passed."""
    command = [*one, *options]
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS * 6, check=False)
    ms = (time.monotonic() - start) * 1000
    text = done.stdout.decode(errors="replace")
    line = re.search(r"^[\w-]+: (\w+) after (\d+) schedules", text, re.M)
    # "broken" is the scheduler, not the library.
    if done.returncode not in (0, 1) or not line or line[1] == "broken":
        raise SystemExit(f"{command}: status {done.returncode}\n{text[-2000:]}")
    return line[1] if done.returncode else "", int(line[2]), text, ms


def of(folder, schedule):
    """The command of a scenario."""
    program, scenario, _ = split(schedule)
    return [folder / program, f"--scenario={scenario}"]


def must_pass(folder, schedules):
    """Without any mutant: a search, and each patch's own schedule."""
    for schedule in sorted(schedules):
        one = of(folder, schedule)
        for options in (["--schedules=300"], [*split(schedule)[2], "--schedules=1"]):
            verdict, _, text, _ = run(one, *options)
            if verdict:
                raise SystemExit(f"{schedule}: {verdict} without any mutant:\n{text[-4000:]}")


def find(folder, schedule):
    one = of(folder, schedule)
    verdict, schedules, text, ms = run(one, "--schedules=0", f"--seconds={SECONDS}")
    found = Found(verdict=verdict, schedules=schedules, ms=ms)
    if verdict:
        found.options = re.search(r"^replay: .* --scenario=\w+ (.*) --schedules=1$", text, re.M)[1]
    verdict, _, _, ms = run(one, *split(schedule)[2], "--schedules=1")
    if verdict:
        found.replayed = ms
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
    if done.returncode == 2:  # bad usage
        raise SystemExit(f"{command} torture: status 2")
    if not done.returncode:
        return f"not in {seconds} s"
    return f"{time.monotonic() - start:.1f} s"


def heads(args):
    return ["mutant", "scenario", "found as", "first seed", "schedules", "ms", "its schedule",
            *(["unit tests"] if args.unit else []),
            *(["torture"] if args.torture is not None else [])]


def cells(found):
    """Of a row."""
    replay = f"{found.replayed:.0f} ms" if found.replayed else "-"
    if not found.options:
        return [f"not in {SECONDS} s", "", str(found.schedules), f"{found.ms:.0f}", replay]
    return [found.verdict, f"`{found.options}`", str(found.schedules), f"{found.ms:.0f}", replay]


def note(path, options):
    """The schedule into the patch's first line."""
    text = path.read_text()
    first, rest = text.split("\n", 1)
    words = [w for w in first.split() if not w.startswith("--")]
    path.write_text(" ".join([*words, options]) + "\n" + rest)
