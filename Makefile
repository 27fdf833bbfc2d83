# Two commands: `make demo` shows the program at work, `make test` runs every test.
.PHONY: demo build web test test-go test-web test-e2e fuzz kill lint fmt bench gen gen-check

GO_SOURCES  := $(shell git ls-files '*.go' '*.s' go.mod go.sum)
WEB_SOURCES := $(shell git ls-files web ':!web/dist')
# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(shell command -v gcc || command -v clang),-race)

demo: build
	bin/logitscope demo

build: bin/logitscope

bin/logitscope: $(GO_SOURCES) web/dist/index.html
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o $@ ./cmd/logitscope

web: web/dist/index.html

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	cd web && npm run build
	touch $@

INTEROP := record/testdata/interop
web/node_modules/.installed $(INTEROP)/node_modules/.installed: %/node_modules/.installed: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	touch $@

test: test-go test-web test-e2e

# noasm: the portable kernels, which other processors run; arm64's own where its code can be run (Debian: qemu-user-static).
QEMU := qemu-aarch64-static
test-go: web/dist/index.html $(INTEROP)/node_modules/.installed
	go vet ./...
	go test $(RACE) ./...
	go test -tags noasm ./internal/kernel ./logit ./loss ./nn
	GOARCH=arm64 go vet ./...
	@if command -v $(QEMU) >/dev/null; then GOARCH=arm64 go test -exec $(QEMU) ./internal/kernel ./logit ./loss; else echo "no $(QEMU): the arm64 tests are not run"; fi

test-web: web/node_modules/.installed
	cd web && npm test

# The program as its user runs it, in a real browser (Debian: apt-get install chromium).
test-e2e: build
	cd e2e && LOGITSCOPE_BIN=$(CURDIR)/bin/logitscope go test -count=1 ./...

# Every fuzz test for FUZZTIME, or every EVERYth of them from number FIRST on; what one finds is written to its testdata folder:
# mend it and keep the file as a seed. Inputs that reach new code are not made small, which would take nearly all of the time.
FUZZTIME ?= 60s
EVERY ?= 1
FIRST ?= 0
fuzz: web/dist/index.html
	@set -e; git grep -o 'func Fuzz[A-Za-z0-9]*' -- '*_test.go' | awk 'NR % $(EVERY) == $(FIRST) % $(EVERY)' | while IFS=: read -r file name; do \
		name=$${name#func }; echo "$$name in $$(dirname $$file) for $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$(dirname $$file) </dev/null; \
	done

# Training killed at a thousand random moments and resumed each time; make test kills it at 50.
kill: web/dist/index.html
	LOGITSCOPE_TEST_KILLS=1000 go test -run '^TestKilledAndResumed$$' -count=1 -timeout 60m -v ./internal/cli

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

# The assembly, from its generator.
gen:
	cd _gen && go run . -out ../internal/kernel/vector_amd64.s -stubs ../internal/kernel/vector_amd64.go -pkg kernel

gen-check: gen
	git diff --exit-code -- internal/kernel
