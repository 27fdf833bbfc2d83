# Two commands: `make demo` shows the program at work, `make test` runs every test.
.PHONY: vet-systems demo build web learn test test-go test-web test-e2e test-python test-frameworks notices wheels release release-check fuzz kill lint fmt bench gen gen-check

GO_SOURCES  := $(shell git ls-files '*.go' '*.s' go.mod go.sum)
WEB_SOURCES := $(shell git ls-files web ':!web/dist')
# How long the tests of a package may take: for what hangs, not for machines that are slow.
LIMIT := 60m
# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(shell command -v gcc || command -v clang),-race)

demo: build
	bin/logitscope demo

build: bin/logitscope

# The page of ten steps from a logit to overfitting, as a file that any web server shows, or none.
learn: build
	bin/logitscope learn -o learn

PROGRAM := CGO_ENABLED=0 go build -trimpath -tags arrow_json_stdlib
bin/logitscope: $(GO_SOURCES) web/dist/index.html
	$(PROGRAM) -ldflags='-s -w' -o $@ ./cmd/logitscope

web: web/dist/index.html

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	cd web && npm run build
	touch $@

INTEROP := record/testdata/interop
web/node_modules/.installed $(INTEROP)/node_modules/.installed: %/node_modules/.installed: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	touch $@

test: test-go test-web test-e2e test-python

# Tests that take the race detector minutes and start nothing side by side run once more without it: those that ask numtest about it.
UNRACED_IN := $(shell git grep -l -e numtest.WithoutRaceDetector -e numtest.CasesOf -- '*_test.go')
UNRACED := $(shell awk '/^func Test/ { split($$2, word, /[^A-Za-z0-9_]/); name = word[1] } /numtest.(WithoutRaceDetector|CasesOf)/ { print name }' $(UNRACED_IN) | sort -u | paste -sd '|')
# noasm: the portable kernels, which other processors run; arm64's own where its code can be run (Debian: qemu-user-static).
QEMU := qemu-aarch64-static
test-go: web/dist/index.html $(INTEROP)/node_modules/.installed
	go vet ./...
	go test $(RACE) -timeout $(LIMIT) ./...
	$(if $(RACE),go test -timeout $(LIMIT) -run '^($(UNRACED))$$' $(addprefix ./,$(sort $(dir $(UNRACED_IN)))))
	cd outside && go test -timeout $(LIMIT) ./... # another's module, which sees what is public
	go test -timeout $(LIMIT) -tags noasm ./internal/kernel ./logit ./loss ./nn
	GOARCH=arm64 go vet ./internal/kernel # its assembly; vet-systems has the rest
	@if command -v $(QEMU) >/dev/null; then GOARCH=arm64 go test -timeout $(LIMIT) -exec $(QEMU) ./internal/kernel ./logit ./loss; else echo "no $(QEMU): the arm64 tests are not run"; fi

# The program and its tests compile for every system that it is meant for, whichever this one is. From an
# empty cache each takes minutes of two cores, so that CI has it after the tests.
SYSTEMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
vet-systems: web/dist/index.html
	@set -e; for system in $(SYSTEMS); do echo "go vet for $$system"; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} go vet ./...; done

test-web: web/node_modules/.installed
	cd web && npm test

# The program as its user runs it, in a real browser (Debian: apt-get install chromium).
test-e2e: build
	cd e2e && LOGITSCOPE_BIN=$(CURDIR)/bin/logitscope go test -count=1 -timeout $(LIMIT) ./...

# The Python client, with NumPy and what is small beside it; make test-frameworks brings PyTorch and others.
PYTHON3 ?= python3
python/.venv-frameworks/.installed: python/requirements-frameworks.txt
	$(PYTHON3) -m venv python/.venv-frameworks
	python/.venv-frameworks/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

python/.venv/.installed: python/requirements.txt
	$(PYTHON3) -m venv python/.venv
	python/.venv/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

PYTEST := PYTHONPATH=$(CURDIR)/python LOGITSCOPE_BIN=$(CURDIR)/bin/logitscope
test-python: build python/.venv/.installed
	cd python && .venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy
	cd python && $(PYTEST) .venv/bin/python -m pytest -q -rs

test-frameworks: build
	@[ -e python/.venv-frameworks/.installed ] || echo "PyTorch, JAX, Keras, TensorFlow, Lightning and Transformers are installed into python/.venv-frameworks: about 8 GB"
	$(MAKE) python/.venv-frameworks/.installed
	# What is killed needs no framework: test-python has it.
	cd python && $(PYTEST) .venv-frameworks/bin/python -m pytest -q -rs --deselect tests/test_survive.py::test_killed_at_any_moment

# The version of what is released, the program and the Python package.
VERSION := $(shell sed -n 's/__version__ = "\(.*\)"/\1/p' python/logitscope/_version.py)
RELEASED := -s -w -X github.com/logitscope/logitscope/experiment.release=v$(VERSION)

# The licences of what is inside the program, which go with it in wheels and archives.
notices: web/node_modules/.installed
	mkdir -p .out
	python3 tools/release/dashboard_sbom.py web .out/dashboard.cdx.json
	python3 tools/release/licences.py . .out/dashboard.cdx.json .out/NOTICES.txt

# Wheels with the program inside, one a system, and one without it, into python/dist; the same tree gives the same bytes. ONLY=3 makes the third of
# those with the program alone, beside the one without. Each has the licence, and with the program those of what is inside it.
WHEELS := linux/amd64/manylinux_2_17_x86_64.musllinux_1_1_x86_64 linux/arm64/manylinux_2_17_aarch64.musllinux_1_1_aarch64 \
	darwin/amd64/macosx_12_0_x86_64 darwin/arm64/macosx_12_0_arm64 windows/amd64/win_amd64 windows/arm64/win_arm64
MADE = $(if $(ONLY),$(word $(ONLY),$(WHEELS)),$(WHEELS))
wheels: web/dist/index.html python/.venv/.installed notices
	rm -rf python/dist
	cp .out/NOTICES.txt python/
	@set -e; export SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct); cd python; \
	for wheel in $(MADE); do os=$${wheel%%/*} platform=$${wheel##*/} arch=$${wheel#*/}; arch=$${arch%%/*}; binary=dist/$$os-$$arch/logitscope; \
		(cd .. && GOOS=$$os GOARCH=$$arch $(PROGRAM) -buildvcs=false -ldflags='$(RELEASED)' -o python/$$binary ./cmd/logitscope); \
		LOGITSCOPE_BINARY=$$binary LOGITSCOPE_PLATFORM=$$platform .venv/bin/hatchling build -t wheel -d dist; rm -r dist/$$os-$$arch; done; \
	rm NOTICES.txt; .venv/bin/hatchling build -t wheel -d dist
	@cd python && .venv/bin/python check_wheels.py dist any $(notdir $(MADE))

# Archives of the program for each system, checksums, and what all is made of, into .out/release, checked: a dry run, which publishes nothing.
# GoReleaser itself takes minutes to build, once.
release: web/dist/index.html notices
	go build -modfile=tools/release/go.mod -o .out/tools/ tool
	export PATH="$(CURDIR)/.out/tools:$$PATH" ROOT='$(CURDIR)' VERSION='$(VERSION)' RELEASED='$(RELEASED)' \
		SECONDS_OF_COMMIT="$$(git log -1 --format=%ct)" TIME_OF_COMMIT="$$(git log -1 --format=%cI)"; \
	goreleaser check && goreleaser release --snapshot --skip=publish --clean
	python3 tools/release/check_archives.py .out/release $(VERSION) $(SYSTEMS)

# What of this can be known in a minute: that GoReleaser reads its configuration, and that the files that it names are there.
release-check: notices
	go run -modfile=tools/release/go.mod tools/release/config.go

# Every fuzz test for FUZZTIME, or every EVERYth of them from number FIRST on; what one finds is written to its testdata folder:
# mend it and keep the file as a seed. Inputs that reach new code are not made small, which would take nearly all of the time.
# Where the time ends between two of its contexts, Go up to 1.26 reports "context deadline exceeded" (golang.org/issue/75804) as a failure without
# an input: that is none.
FUZZTIME ?= 60s
EVERY ?= 1
FIRST ?= 0
fuzz: web/dist/index.html
	@set -e; git grep -o 'func Fuzz[A-Za-z0-9]*' -- '*_test.go' | awk 'NR % $(EVERY) == $(FIRST) % $(EVERY)' | while IFS=: read -r file name; do \
		name=$${name#func }; echo "$$name in $$(dirname $$file) for $(FUZZTIME)"; \
		found=$$(go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$(dirname $$file) </dev/null 2>&1) || failed=1; \
		echo "$$found"; \
		if [ "$${failed:-}" ]; then failed=; case $$found in *"Failing input"*) exit 1;; *"    context deadline exceeded"*) echo "its time was over: no failure";; *) exit 1;; esac; fi; \
	done

# Training killed at a thousand random moments and resumed each time; make test kills it at 50. A server that takes runs at a hundred, not 10.
kill: web/dist/index.html
	LOGITSCOPE_TEST_KILLS=1000 go test -run '^TestKilledAndResumed$$' -count=1 -timeout 60m -v ./internal/cli
	LOGITSCOPE_TEST_KILLS=100 go test -run '^TestServerKilled$$' -count=1 -timeout 20m -v ./push

lint: web/dist/index.html
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...
	@unformatted=$$(git ls-files '*.go' | xargs go tool -modfile=tools/go.mod gofumpt -l); \
	if [ -n "$$unformatted" ]; then echo "run make fmt: $$unformatted"; exit 1; fi
	cd e2e && go vet ./...
	cd web && npm run lint

fmt:
	git ls-files '*.go' | xargs go tool -modfile=tools/go.mod gofumpt -w
	cd web && npm run format

# Against the peers and this machine's limits, in turn; each script writes its section of bench/RESULTS.md. PYTHON is one
# that has PyTorch.
PYTHON ?= /usr/bin/python3
bench: build
	$(PYTHON) bench/digits.py
	$(PYTHON) bench/data.py
	$(PYTHON) bench/probe.py
	$(PYTHON) bench/images.py
	$(PYTHON) bench/kernels.py
	$(PYTHON) bench/labels.py
	$(PYTHON) bench/findings.py
	$(PYTHON) bench/diagnose.py
	$(PYTHON) bench/learn.py
	$(PYTHON) bench/push.py
	$(PYTHON) bench/import.py

# The assembly, and what of the documentation comes from the program's registries, each from its generator.
gen:
	cd _gen && go run . ../internal/kernel
	go generate ./internal/gendocs

gen-check: gen
	git diff --exit-code -- internal/kernel docs web/src/learn/losses.json
