# What a developer runs. `make help` lists it.

GO ?= go
TOOL = $(GO) tool -modfile=tools/go.mod
MODULES = . store/postgres examples examples/jetstream

.PHONY: help test check bench fuzz soak proto

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

test: ## all tests of all modules, with the race detector and in random order, and the long simulation
	$(GO) test -race -shuffle=on -timeout 30m ./...
	$(GO) test -count=1 -run '^Test(Simulation|Explore)' ./async ./async/internal/lifecycle # without the race detector: ten times the histories, and no row of the state table is left out
	$(GO) -C store/postgres test -race -shuffle=on -timeout 30m ./...
	$(GO) -C examples build ./... # the Temporal server, without the race detector: minutes, the first time
	$(GO) -C examples test -race -shuffle=on -timeout 30m ./...
	$(GO) -C examples/jetstream test -race -shuffle=on -timeout 30m ./...

check: ## formatting, vet, staticcheck, go fix, tidy modules
	@test -z "$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go') | tee /dev/stderr)"
	@for m in $(MODULES); do echo "check $$m"; \
		( cd $$m && $(GO) vet ./... && $(GO) fix -diff ./... && $(GO) mod tidy -diff && \
		  $(GO) tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./... ) || exit 1; done
	@cd tools && $(GO) mod tidy -diff

bench: ## speeds and sizes, each beside the bare library where there is one
	$(GO) test -run '^$$' -bench . -count 1 ./...
	$(GO) -C store/postgres test -run '^$$' -bench . -count 1 ./...
	$(GO) -C examples test -run '^$$' -bench . -count 1 -timeout 2h ./bench # an hour or more

FUZZTIME ?= 30s
fuzz: ## every fuzzer, for FUZZTIME each
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
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
