# SPDX-License-Identifier: MIT
#
# A thin front of CMake: see CMakePresets.json for the builds and tools/ for
# what the longer recipes do.
JOBS := $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local

help:
	@echo 'make run      replay the shipped traces of real programs, show the outcome'
	@echo 'make test     build and pass the tests (minutes)'
	@echo 'make inject   every allocation fails in turn; a table by site (docs/failure.md)'
	@echo 'make full     sanitizers, long model runs, torture, fuzzing (hours)'
	@echo 'make bench    measure; see docs/performance.md'
	@echo 'make fmt      format the source'
	@echo 'make install  into PREFIX=$(PREFIX)'
	@echo 'make clean    remove build/'
	@echo
	@echo 'run, test, full, bench and install first fetch missing packages (tools/setup).'

setup:
	@tools/setup

# Configure and build the preset behind the dash; the tests' own recipe says the rest.
build-%: setup
	@cmake --preset $* >/dev/null
	@cmake --build --preset $* -j $(JOBS)

run: build-release
	@tools/run-demo build/release/cli/samara

test: build-dev build-schedule
	ctest --preset dev -j2
	ctest --preset schedule -j2

inject: build-dev
	@tools/inject

full: setup
	@tools/full

bench: build-release
	@for b in build/release/bench/*; do \
		if [ -f "$$b" ] && [ -x "$$b" ]; then echo "== $$b"; "$$b" || exit; fi; done
	@echo "== build/release/bench/mm --only-pages"
	@build/release/bench/mm --only-pages

fmt:
	@git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cc' | xargs clang-format -i

install: build-release
	cmake --install build/release --prefix "$(PREFIX)"

clean:
	rm -rf build

.PHONY: help setup run test inject full bench fmt install clean
