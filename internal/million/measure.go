package million

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/board"
)

// measure reads pages while a hub is at full work. The durations are logged and
// not judged, because they depend on the machine.
func (w *world) measure() {
	w.t.Helper()
	rounds := 1
	if w.soak {
		rounds = 300
	}
	boardRounds := (2*rounds + 2) / 3
	h := w.newHub(w.store, nil)
	b, err := board.New(h, board.Options{Authorize: func(context.Context, *http.Request, board.Action, async.Callback) (string, error) { return "ada", nil }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.logf("counts, with nothing else to do: %+v", w.times(1, func() { w.stats() }))
	w.logf("Hub.Page, with nothing else to do: %+v", w.times(rounds, func() { w.page(h, async.Query{}) }))
	w.logf("Hub.Page of 10,000 entries that are not selected, with nothing else to do: %+v", w.times((rounds+9)/10, func() { w.page(h, async.Query{ActivityType: "none"}) }))
	begun, end := time.Now(), w.work()
	defer w.profile()()
	for _, q := range []async.Query{{}, {State: async.Settled}, {Failing: true, Look: 1000}} {
		after := ""
		times := w.times(rounds, func() {
			q.After = after
			after = w.page(h, q).Next
		})
		w.logf("Hub.Page of %v entries, failing %t, look %d: %+v", q.State, q.Failing, q.Look, times)
	}
	for _, path := range []string{"/", "/waiting", "/settled", "/all?type=none"} {
		times := w.times(boardRounds, func() {
			r := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://ops.example.com"+path, nil)
			r.Header.Set("Accept", "text/html")
			answer := httptest.NewRecorder()
			b.ServeHTTP(answer, r)
			if answer.Code != http.StatusOK {
				w.t.Fatalf("%s: %d %.300s", path, answer.Code, answer.Body)
			}
		})
		w.logf("the board's page %s: %+v", path, times)
	}
	w.logf("counts, next to a hub at full work: %+v", w.times(1, func() { w.stats() }))
	answers, took := end(), time.Since(begun)
	w.logf("%d answers meanwhile, %.0f a second", answers, float64(answers)/took.Seconds())
}

// profile writes a processor profile until the function that it returns is called,
// if LATCHKEY_CPU names a file.
func (w *world) profile() (end func()) {
	w.t.Helper()
	name := os.Getenv("LATCHKEY_CPU")
	if name == "" {
		return func() {}
	}
	file, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close() // a damaged profile is noticed by its reader
	}
}

// stats makes one scan.
func (w *world) stats() {
	w.t.Helper()
	if _, err := w.newHub(w.store, nil).Stats(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) page(h *async.Hub, q async.Query) async.Page {
	w.t.Helper()
	p, err := h.Page(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// times contains the durations of calls, and the processor time of the process
// for each call. The processor time includes that of other goroutines.
type times struct {
	Calls                 int
	Median, P99, Max, CPU time.Duration
}

// enough is the time after which times makes no more calls, on a slow machine.
const enough = 45 * time.Second

func (w *world) times(n int, f func()) times {
	var took []time.Duration
	before, first := CPU(), time.Now()
	for len(took) < n && (len(took) == 0 || time.Since(first) < enough) {
		begun := time.Now()
		f()
		took = append(took, time.Since(begun))
	}
	n = len(took)
	used := CPU() - before
	slices.Sort(took)
	return times{n, took[n/2], took[min(n-1, n*99/100)], took[n-1], used / time.Duration(n)}
}
