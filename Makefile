# The two commands: `make run` shows kontor at work, `make test` tests it. Both install what is missing first.
# The build itself is Meson's; this file only gives its steps names.

BUILD ?= build
PREFIX ?= /usr/local
RUN = deploy/demo
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo 'make run      set up, build and start the demonstration: http://127.0.0.1:3000/'
	@echo 'make test     set up, build and run every test'
	@echo 'make build    set up and build the release: $(BUILD)/kontor'
	@echo 'make install  install it under PREFIX (now $(PREFIX))'
	@echo 'make bench    measure, each figure as a ratio to a calibration in the same run'
	@echo 'make fuzz     fuzz every parser, 60 s each (SECONDS_EACH=...)'
	@echo 'make soak     the long tests, again and again until you stop them'
	@echo 'make clean    remove what was built (never data)'

.PHONY: setup-run setup-test
setup-run:
	@deploy/setup run
setup-test:
	@deploy/setup test

$(BUILD)/build.ninja: | setup-run
	@meson setup $(BUILD) --buildtype=release --prefix=$(PREFIX) >$(BUILD)-setup.txt 2>&1 || { cat $(BUILD)-setup.txt; exit 1; }
	@rm -f $(BUILD)-setup.txt

.PHONY: build
build: setup-run $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet kontor

.PHONY: run
run: build
	@$(RUN) $(BUILD)/kontor

.PHONY: test
test: setup-test $(BUILD)/build.ninja
	@tests/run $(BUILD)

.PHONY: install
install: build
	@meson install -C $(BUILD) --no-rebuild

.PHONY: bench
bench: build
	@bench/run $(BUILD)

SECONDS_EACH ?= 60
.PHONY: fuzz
fuzz: setup-test
	@fuzz/run $(SECONDS_EACH)

.PHONY: soak
soak: setup-test $(BUILD)/build.ninja
	@tests/soak $(BUILD)

.PHONY: clean
clean:
	@rm -rf $(BUILD) build-*
