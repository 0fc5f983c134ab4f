package async

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The simulation plays histories: random operations on a few hubs that share a
// store and a model of Temporal. Each hub has a clock of its own. Every call of
// the store or of Temporal is a boundary between steps. At a boundary, other
// operations run, the call fails before or after its effect, or the process
// dies. The simulation runs in testing/synctest's time, on one goroutine, so a
// history depends only on its seed.
//
// The guarantees are checked after each write, each call and each answer. The
// guarantees are also checked at the end, when nothing fails any more and all
// activities must end. Some gaps are documented, because a client of Temporal's
// API cannot close them. The model has an exception for each of these gaps, as
// narrow as possible, and counts the exceptions. A large number would hide
// errors.
//
// Files:
//   - model of Temporal: sim_temporal_test.go
//   - what can happen to a call: sim_process_test.go
//   - clocks: sim_clock_test.go
//   - operations: sim_ops_test.go, sim_answers_test.go, sim_beats_test.go,
//     sim_runs_test.go, sim_behind_test.go and sim_retry_test.go
//   - end of a history: sim_finish_test.go
//   - what must hold: sim_check_test.go, sim_accept_test.go and
//     sim_leaks_test.go, and for notes sim_journal_test.go
//   - rows of the state table: sim_rows_test.go
//   - versions that must be found wrong: sim_broken_test.go and its
//     neighbours

// play plays a history in a separate time bubble.
func (h simHistory) play(t *testing.T, broken simBroken, rows map[string]int, trace *[]string) (wrong string) {
	synctest.Test(t, func(*testing.T) { wrong = h.run(broken, rows, trace) })
	return wrong
}

// guaranteeOf returns the guarantee that a violation breaks.
func guaranteeOf(wrong string) string {
	guarantee, _, _ := strings.Cut(wrong, ":")
	return guarantee
}

// shrink removes steps from a history while the history still fails in the same
// way.
func (h simHistory) shrink(t *testing.T, broken simBroken, wrong string) simHistory {
	rows := make(map[string]int)
	for size := len(h.steps) / 2; size > 0; {
		shrunk := false
		for at := 0; at+size <= len(h.steps); {
			shorter := simHistory{seed: h.seed, steps: slices.Delete(slices.Clone(h.steps), at, at+size)}
			if guaranteeOf(shorter.play(t, broken, rows, nil)) == guaranteeOf(wrong) {
				h, shrunk = shorter, true
			} else {
				at += size
			}
		}
		if !shrunk || size > 1 {
			size /= 2
		}
	}
	return h
}

// report prints the shortest failing history.
func (h simHistory) report(t *testing.T, broken simBroken, seed uint64, wrong string) {
	short := h.shrink(t, broken, wrong)
	var trace []string
	wrong = short.play(t, broken, make(map[string]int), &trace)
	t.Errorf("%s\nreplay with LATCHKEY_SEED=%d; %d of its %d steps are enough:\n%s",
		wrong, seed, len(short.steps), len(h.steps), strings.Join(trace, "\n"))
}

// simSettings reads the environment: LATCHKEY_SEED replays one history.
// LATCHKEY_HISTORIES sets the number of histories, and LATCHKEY_SOAK sets it to
// a million. LATCHKEY_SHOW prints the shortest history that takes a row, or an
// exception, whose name begins with its value.
func simSettings(t *testing.T) (broken simBroken, first uint64, histories int) {
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	broken.show = os.Getenv("LATCHKEY_SHOW")
	switch {
	case os.Getenv("LATCHKEY_SEED") != "":
		return broken, number("LATCHKEY_SEED"), 1
	case os.Getenv("LATCHKEY_HISTORIES") != "":
		histories = int(number("LATCHKEY_HISTORIES"))
	case os.Getenv("LATCHKEY_SOAK") != "":
		histories = 1_000_000
	case simRace:
		return broken, simFirst, 2_000
	default:
		return broken, simFirst, 20_000
	}
	return broken, uint64(time.Now().UnixNano()), histories
}

// simFirst is the first seed of a plain test run, so that the same code always
// gets the same result. make soak and LATCHKEY_HISTORIES derive their seeds
// from the clock.
const simFirst = 20261130

// TestSimulation plays random histories of several hubs against a model of
// Temporal, and checks the guarantees in each history.
func TestSimulation(t *testing.T) {
	broken, first, histories := simSettings(t)
	t.Logf("%d histories from seed %d", histories, first)

	const players = 2
	all := make([]map[string]int, players)
	var wg sync.WaitGroup
	var mu sync.Mutex
	failures := 0
	for i := range players {
		all[i] = make(map[string]int)
		wg.Go(func() {
			for n := i; n < histories && !t.Failed(); n += players {
				seed := first + uint64(n)
				h := newSimHistory(seed)
				if wrong := h.play(t, broken, all[i], nil); wrong != "" {
					mu.Lock()
					if failures++; failures <= 1 {
						h.report(t, broken, seed, wrong)
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	rows := make(map[string]int)
	for _, m := range all {
		for row, n := range m {
			rows[row] += n
		}
	}
	for _, row := range simRows {
		// Some rows are so rare that fewer histories may not reach them.
		if rows[row] == 0 && histories >= 20_000 && !t.Failed() {
			t.Errorf("row %d of the state table is never taken: %s", rowNumber(row), row)
		}
	}
	exceptions := 0
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		if strings.HasPrefix(row, "exception: ") {
			exceptions += rows[row]
		}
		t.Logf("%8d  row %2d  %s", rows[row], rowNumber(row), row)
	}
	if exceptions > 20+histories/50 {
		t.Errorf("%d of the histories' steps are documented exceptions, want at most one in fifty histories", exceptions)
	}
}

// TestSimulationReplays shows that a history depends only on its seed.
func TestSimulationReplays(t *testing.T) {
	for seed := range uint64(100) {
		var traces [2][]string
		for i := range traces {
			newSimHistory(seed).play(t, simBroken{}, make(map[string]int), &traces[i])
		}
		for n, line := range traces[0] {
			if n >= len(traces[1]) || traces[1][n] != line {
				t.Fatalf("history %d: line %d is %q the first time, and the second %q", seed, n, line, traces[1][min(n, len(traces[1])-1)])
			}
		}
	}
}
