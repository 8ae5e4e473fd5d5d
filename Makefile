# The two commands: `make run` shows kontor at work, `make test` tests it. Both install what is missing first.
# The build itself is Meson's; this file only gives its steps names.

BUILD ?= build
PREFIX ?= /usr/local
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo 'make run      set up, build and start the demonstration: http://127.0.0.1:3000/'
	@echo 'make test     set up, build and run every test'
	@echo 'make build    set up and build the release: $(BUILD)/kontor'
	@echo 'make install  install it under PREFIX (now $(PREFIX))'
	@echo 'make deb      make a Debian package of it: $(BUILD)/kontor_VERSION_ARCHITECTURE.deb'
	@echo 'make bench    measure, each figure as a ratio to a calibration in the same run'
	@echo 'make fuzz     fuzz every parser, 60 s each (SECONDS_EACH=...)'
	@echo 'make coverage which lines of src/ the tests run, and which not (docs/coverage.md)'
	@echo 'make soak     the long tests, again and again until you stop them'
	@echo 'make clean    remove what was built (never data)'

.PHONY: setup-run setup-test
setup-run:
	@deploy/setup run
setup-test:
	@deploy/setup test

.PHONY: build
build: setup-run
	@deploy/build $(BUILD) $(PREFIX) kontor kontor.1

.PHONY: run
run: build
	@deploy/demo $(BUILD)/kontor

.PHONY: test
test: setup-test
	@deploy/build $(BUILD) $(PREFIX)
	@tests/run $(BUILD)

# PREFIX may differ from the one of the build; nothing is compiled again for it.
.PHONY: install
install: build
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD) --quiet build.ninja >/dev/null
	@meson install -C $(BUILD) --no-rebuild --quiet
	@echo 'kontor: installed $(DESTDIR)$(PREFIX)/bin/kontor'

.PHONY: deb
deb: build
	@deploy/deb $(BUILD)

.PHONY: bench
bench: build
	@deploy/setup bench
	@bench/run $(BUILD)

SECONDS_EACH ?= 60
.PHONY: fuzz
fuzz: setup-test
	@fuzz/run $(SECONDS_EACH)

.PHONY: coverage
coverage: setup-test
	@tests/coverage

.PHONY: soak
soak: setup-test
	@deploy/build $(BUILD) $(PREFIX)
	@tests/soak $(BUILD)

.PHONY: clean
clean:
	@rm -rf $(BUILD) build-*
