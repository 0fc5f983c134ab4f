# What a developer runs. `make help` lists it.

GO ?= go
TOOL = $(GO) tool -modfile=tools/go.mod
MODULES = . otel store/postgres examples examples/jetstream

.PHONY: help test check newest bench bench-stores scale fuzz soak proto axe

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# The race detector needs a C compiler.
RACE := $(shell { command -v gcc || command -v clang; } >/dev/null 2>&1 && echo -race)
TEST = test -json $(RACE) -shuffle=on -timeout 30m

# Without TEMPORAL_DEBUG, the SDK ends a workflow that gets no processor for a
# second ("Potential deadlock detected"). A loaded machine must not fail a test.
test newest soak: export TEMPORAL_DEBUG = 1

test: ## all tests of all modules, and a list of those that were skipped; installs what is missing on Debian and Ubuntu as root
	@.ci/setup
	$(GO) -C examples build ./... # the Temporal server, without the race detector: minutes, the first time
	@{ [ -n "$(RACE)" ] || echo 'NOT TESTED: the race detector, which needs a C compiler'; \
	$(GO) $(TEST) ./... || echo 'FAIL: go test'; \
	echo 'without the race detector: ten times the histories, and each row of the state table'; \
	$(GO) test -json -count=1 -run '^Test(Simulation|Explore)' ./async ./async/internal/lifecycle || echo 'FAIL: go test'; \
	$(GO) -C otel $(TEST) ./... || echo 'FAIL: go test in otel'; \
	$(GO) -C store/postgres $(TEST) ./... || echo 'FAIL: go test in store/postgres'; \
	$(GO) -C examples $(TEST) ./... -parallel 4 || echo 'FAIL: go test in examples'; \
	$(GO) -C examples/jetstream $(TEST) ./... || echo 'FAIL: go test in examples/jetstream'; \
	} | $(GO) run ./internal/testreport

check: ## formatting, vet, staticcheck, go fix, tidy modules, other systems
	@test -z "$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go') | tee /dev/stderr)"
	@for m in $(MODULES); do echo "check $$m"; \
		( cd $$m && $(GO) vet ./... && $(GO) fix -diff ./... && $(GO) mod tidy -diff && \
		  $(GO) tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./... ) || exit 1; done
	@cd tools && $(GO) mod tidy -diff
	@for os in windows darwin; do for m in . otel store/postgres; do echo "build and vet $$m for $$os"; \
		( cd $$m && export GOOS=$$os CGO_ENABLED=0 && $(GO) build ./... && $(GO) vet ./... ) || exit 1; done; done

AXE = 4.14.1
axe: ## examine the pages of examples/approval and of examples/ops in chromium with axe-core, which npm downloads
	@dir=$$(mktemp -d) && trap "rm -r $$dir" EXIT && ( cd $$dir && npm pack --silent axe-core@$(AXE) && tar xzf axe-core-$(AXE).tgz ) && \
		LATCHKEY_AXE=$$dir/package/axe.min.js $(GO) -C examples test ./approval ./ops -run '^Test(Browser|Board)$$' -count=1 -v

NEWEST = $(shell sed -n 's/^\tgo.temporal.io\/sdk \(v[^ ]*\)$$/\1/p' examples/go.mod)
newest: ## build and test with the newest SDK that is supported, that of examples/go.mod; go.mod has the oldest
	@dir=$$(mktemp -d) && trap "rm -r $$dir" EXIT && cp go.mod $$dir/newest.mod && cp go.sum $$dir/newest.sum && \
	$(GO) mod edit -require=go.temporal.io/sdk@$(NEWEST) $$dir/newest.mod && echo "SDK $(NEWEST)" && \
	$(GO) test -mod=mod -modfile=$$dir/newest.mod ./async/completer ./async/asynctest ./docs

bench: ## the figures of docs/performance.md as a table, in about 20 minutes
	@{ $(GO) test -run '^$$' -bench '^Benchmark(Start|Complete|Waiting)$$' -benchmem ./async || echo 'FAIL: go test'; \
	$(GO) -C examples test -run '^$$' -bench '^Benchmark(Accept|Handler|Away|Deliver|Backlog|Beat|Size)$$' -timeout 1h ./bench || echo 'FAIL: go test in examples'; \
	} | $(GO) run ./internal/benchreport

bench-stores: ## each call of each store, compared with the bare library
	$(GO) test -run '^$$' -bench . ./store/...
	$(GO) test -run '^$$' -bench '^BenchmarkSettledToDelivered$$' -benchtime 100x ./async
	$(GO) -C store/postgres test -run '^$$' -bench . ./...

scale: ## ten million entries in bolt and in Redis; hours, 15 GB of memory and of disk
	LATCHKEY_BENCH_ENTRIES=10000000 $(GO) -C examples test -run '^$$' -bench 'Scale/(bolt|redis)' -timeout 12h ./bench

FUZZTIME ?= 30s
FUZZ ?= ./...
fuzz: ## every fuzzer of the packages FUZZ, for FUZZTIME each
	@for p in $$($(GO) list $(FUZZ)); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "fuzz $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

soak: ## the long runs: a million histories, kills by the thousand
	LATCHKEY_SOAK=1 $(GO) test -timeout 2h -run '^Test(Simulation|Scale|Explore)$$' ./async ./async/internal/lifecycle
	LATCHKEY_SOAK=1 $(GO) test -race -timeout 2h ./store/...
	LATCHKEY_SOAK=1 $(GO) -C store/postgres test -race -timeout 2h ./...
	LATCHKEY_SOAK=1 $(GO) -C examples test -timeout 2h ./...

proto: ## the record's Go code, anew from its .proto (needs Debian's protobuf-compiler)
	@bin=$$(mktemp -d) && trap "rm -r $$bin" EXIT && \
	$(GO) build -modfile=tools/go.mod -o $$bin google.golang.org/protobuf/cmd/protoc-gen-go && \
	protoc --plugin=$$bin/protoc-gen-go -I async/internal/record \
		--go_out=async/internal/record --go_opt=paths=source_relative record.proto
