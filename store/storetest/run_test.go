package storetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// scenarios are uses of Run whose result is checked from outside. This test
// binary runs each of them in a separate process, because most of them fail.
var scenarios = map[string]func(t *testing.T){
	"no-open":           func(t *testing.T) { Run(t, Harness{}) },
	"durable-no-reopen": func(t *testing.T) { h := memory(); h.Features.Durable = true; Run(t, h) },
	"shared-no-peer":    func(t *testing.T) { h := memory(); h.Features.Shared = true; Run(t, h) },
	"lose-no-peer":      func(t *testing.T) { h := memory(); h.Lose = reference().Lose; Run(t, h) },
	"open-returns-nil":  func(t *testing.T) { Run(t, Harness{Open: func(*testing.T) store.Store { return nil }}) },
	"open-skips": func(t *testing.T) {
		Run(t, Harness{Open: func(t *testing.T) store.Store { t.Skip("no server here"); return nil }})
	},
	"plain":     func(t *testing.T) { Run(t, Harness{Open: reference().Open}) },
	"reference": func(t *testing.T) { Run(t, reference()) },
	"wrong": func(t *testing.T) {
		Run(t, everything(func(r *ref) store.Store {
			r.isDue = func(e store.Entry, now time.Time) bool { return !e.Due.IsZero() && e.Due.Before(now) }
			return r
		}, nil))
	},
}

const scenarioVariable = "LATCHKEY_STORETEST_SCENARIO"

// TestScenario runs the scenario that the environment names.
func TestScenario(t *testing.T) {
	name := os.Getenv(scenarioVariable)
	if name == "" {
		t.Skip("for TestRun, which runs this binary again")
	}
	scenarios[name](t)
}

func TestRun(t *testing.T) {
	beyond := 0 // number of checks under the subjects below
	for _, k := range checks() {
		if subject, _, _ := strings.Cut(k.name, "/"); strings.Contains("Put Durable Shared Break Lost Flap Corrupt Model", subject) {
			beyond++
		}
	}
	for _, test := range []struct {
		scenario, run, seed string
		fails               bool
		want                []string // regular expressions
		wantNot             []string
	}{
		{scenario: "no-open", fails: true, want: []string{`Harness\.Open is nil: it is required`}, wantNot: []string{"panic", "--- .*Put/"}},
		{scenario: "durable-no-reopen", fails: true, want: []string{`Harness\.Reopen is nil: it is required with Features\.Durable`}, wantNot: []string{"panic", "--- .*Put/"}},
		{scenario: "shared-no-peer", fails: true, want: []string{`Harness\.Peer is nil: it is required with Features\.Shared`}, wantNot: []string{"panic", "--- .*Put/"}},
		{scenario: "lose-no-peer", fails: true, want: []string{`Harness\.Lose is there without Features\.Shared`}, wantNot: []string{"panic", "--- .*Put/"}},
		{scenario: "open-returns-nil", run: "Put/InsertThenGet", fails: true, want: []string{`Harness\.Open returned nil, want a store`}, wantNot: []string{"panic"}},
		{scenario: "open-skips", run: "Put", want: []string{`--- SKIP: TestScenario/Put/InsertThenGet`, `no server here`, `0 checks ran, 0 failed; .* the harness skipped it \(Put/InsertThenGet`}},
		{scenario: "plain", run: "(Put|Durable|Shared|Break|Lost|Flap|Corrupt|Claim)", want: []string{
			`--- PASS: TestScenario/Put/StaleVersionConflicts`,
			`--- SKIP: TestScenario/Durable/ReopenedIsAsItWas`, `the harness doesn't declare Features\.Durable`,
			`--- SKIP: TestScenario/Shared/PeerSeesWritesAtOnce`, `the harness doesn't declare Features\.Shared`,
			`--- SKIP: TestScenario/Claim/OldestFirst`, `the harness doesn't declare Features\.Ordered`,
			`--- SKIP: TestScenario/Break/GetFails`, `the harness has no Break`,
			`--- SKIP: TestScenario/Lost/PutTookPlaceOnce`, `the harness has no Lose`,
			`--- SKIP: TestScenario/Flap/GetRecovers`, `the harness has no Flap`,
			`--- SKIP: TestScenario/Corrupt/GetIsErrCorrupt`, `the harness has no Corrupt`,
			`storetest: \d+ checks ran, 0 failed \(Put \d+, Claim \d+\); \d+ skipped: .*Features\.Ordered \(Claim/OldestFirst\)`,
		}},
		{scenario: "reference", run: "(Put|Durable|Shared|Break|Lost|Flap|Corrupt|Model)", seed: "7", want: []string{fmt.Sprintf(`storetest: %d checks ran, 0 failed .*; 0 skipped\n`, beyond)}},
		{scenario: "reference", seed: "seven", fails: true, want: []string{`LATCHKEY_SEED is "seven": it must be a number`}, wantNot: []string{"--- .*Put/"}},
		{scenario: "wrong", run: "Due", fails: true, want: []string{
			`--- FAIL: TestScenario/Due/ReachedAtItsMillisecond`, `contract: Claim returns entries whose Due is not after now`,
			`--- PASS: TestScenario/Due/ZeroIsNever`, `storetest: \d+ checks ran, [1-9]\d* failed`,
		}},
		{scenario: "wrong", run: "Model/RandomOperations", seed: "42", fails: true, want: []string{`the same again: LATCHKEY_SEED=42`, `the last steps:\n`}},
	} {
		t.Run(strings.Join([]string{test.scenario, test.run, test.seed}, ","), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^TestScenario$/"+test.run)
			cmd.Env = append(os.Environ(), scenarioVariable+"="+test.scenario, SeedVariable+"="+test.seed)
			out, err := cmd.CombinedOutput()
			if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				t.Fatalf("running the scenario: %v", err)
			}
			if failed := err != nil; failed != test.fails {
				t.Errorf("scenario failed: got %t, want %t", failed, test.fails)
			}
			for _, want := range test.want {
				if !regexp.MustCompile(want).Match(out) {
					t.Errorf("output: got nothing that matches %q", want)
				}
			}
			for _, not := range test.wantNot {
				if found := regexp.MustCompile(not).Find(out); found != nil {
					t.Errorf("output: got %q, want nothing that matches %q", found, not)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", out)
			}
		})
	}
}

// TestReplayIsDeterministic fails a model check twice with one seed, and once
// with each of several other seeds.
func TestReplayIsDeterministic(t *testing.T) {
	forgetful := func() Harness {
		for _, w := range wrongModels() {
			if w.name == "every thirtieth put forgets the due" {
				return everything(w.wrap, w.reopened)
			}
		}
		t.Fatal("the wrong store that this test needs is gone")
		return Harness{}
	}
	seen := make(map[string]uint64)
	for seed := range uint64(5) {
		first := observe(t, "Model/RandomOperations", forgetful(), seed, time.Minute)
		again := observe(t, "Model/RandomOperations", forgetful(), seed, time.Minute)
		if len(first.errors) == 0 {
			t.Fatalf("seed %d: got no failure, want one", seed)
		}
		if got, want := strings.Join(again.errors, "\n"), strings.Join(first.errors, "\n"); got != want {
			t.Errorf("seed %d again: got\n%s\nwant\n%s", seed, got, want)
		}
		if want := fmt.Sprintf("%s=%d\n", SeedVariable, seed); !strings.Contains(first.errors[0], want) {
			t.Errorf("failure with seed %d: got %q, want it to tell %q", seed, first.errors[0], want)
		}
		text := strings.ReplaceAll(first.errors[0], fmt.Sprintf("=%d\n", seed), "=\n")
		if other, same := seen[text]; same {
			t.Errorf("seeds %d and %d: got the same operations, want others", other, seed)
		}
		seen[text] = seed
	}
}

// TestFuzzSeedsMeanWhatTheySay shows that the first programs of the fuzzer
// reach every operation.
func TestFuzzSeedsMeanWhatTheySay(t *testing.T) {
	var trace []string
	for _, program := range fuzzSeeds() {
		var n notes
		h := reference()
		c := newChecker(&n, t.Context(), h.Features, h.bind(t))
		c.run(check{name: "Fuzz", says: "-", run: func(c *checker) {
			m := &machine{c: c, handles: []store.Store{c.open()}, reopens: true}
			m.run(program, 100)
			trace = append(trace, m.trace...)
		}})
		for _, e := range n.errors {
			t.Errorf("program %v on the reference store: got %s", program, e)
		}
	}
	all := strings.Join(trace, "\n")
	for _, want := range []string{"at none", "at its version", "put a at the version 1 before its last", "delete A at the version 1 before its last", "a version never given", "due never", "delete ", "claim ", "get ", "list", "reopen", "70000 bytes", "3000 bytes"} {
		if !strings.Contains(all, want) {
			t.Errorf("fuzz seeds: got no step with %q in\n%s", want, all)
		}
	}
}

// TestGiveUp shows that a check that hangs ends, and that its later reports are
// dropped.
func TestGiveUp(t *testing.T) {
	var n notes
	h := reference()
	c := newChecker(&n, t.Context(), h.Features, h.bind(t))
	c.patience = time.Millisecond
	release, ended := make(chan struct{}), make(chan struct{})
	c.run(check{name: "Hangs", says: "a check may hang", run: func(c *checker) {
		defer close(ended)
		<-release
		c.fatalf("too late")
	}})
	if len(n.errors) != 1 || !strings.Contains(n.errors[0], "not done after 1ms") || !strings.Contains(n.errors[0], "goroutine ") {
		t.Errorf("a check that hangs: got %q, want that it hangs, with the stacks of all goroutines", n.errors)
	}
	close(release)
	<-ended
	if len(n.errors) != 1 {
		t.Errorf("a check that was given up: got %q, want nothing more", n.errors[1:])
	}
	if len(n.logs) != 1 || n.logs[0] != "contract: a check may hang" {
		t.Errorf("a check that hangs: got logs %q, want its sentence of the contract", n.logs)
	}
}

// TestCloseErrorIsReported shows that the suite checks the error of its own
// Close.
func TestCloseErrorIsReported(t *testing.T) {
	n := observe(t, "Put/InsertThenGet", everything(func(r *ref) store.Store {
		return &twisted{ref: r, close: func() error { return errUnreachable }}
	}, nil), 1, time.Minute)
	if len(n.errors) != 1 || !strings.HasPrefix(n.errors[0], "Close: got ") {
		t.Errorf("a store whose Close fails: got %q, want one failure, of Close", n.errors)
	}
}
