package async

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// simRand is a random sequence that is cheap to start. Each operation of a
// history has its own sequence, so that removing one operation does not change
// the others.
type simRand struct{ state uint64 }

func (r *simRand) next() uint64 { // SplitMix64
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *simRand) n(n int) int { return int(r.next() >> 1 % uint64(n)) }

// chance returns true n times in a thousand.
func (r *simRand) chance(perMille int) bool { return r.n(1000) < perMille }

// pick draws one of several values by weight.
func (r *simRand) pick(weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	x := r.n(sum)
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return 0
}

// simRates are the failure rates of a history, per thousand calls.
type simRates struct{ fault, nest, crash int }

// simHistory is a history: its first seed, and its operations, each with the
// seed of its own random sequence.
type simHistory struct {
	seed  uint64
	steps []uint64
}

const simSteps = 48 // at least 40

func newSimHistory(seed uint64) simHistory {
	r := simRand{seed}
	h := simHistory{seed: r.next()}
	for range simSteps {
		h.steps = append(h.steps, r.next())
	}
	return h
}

// simWorld is the complete state of one history.
type simWorld struct {
	rng     *simRand
	rates   simRates
	frames  []*simFrame
	ops     []simOp
	weights []int // of ops
	broken  simBroken
	trace   *[]string // nil: not traced

	mem      store.Store
	records  map[string]*record.Record // the stored records by entry; never changed in place
	writes   int                       // number of writes to the store
	jittered map[int64]int64
	clock    time.Time // the time to which the history itself has moved the clock
	procs    []*simProc
	made     int // number of processes that were started

	runs           []*simRun
	attempts       []*simAttempt
	seq            int // number of activities
	keyed          int // how many of a thousand activities have a business key
	away, refusing bool
	late           []simLate // effects of calls whose callers gave up
	landing        bool      // one of these effects takes place now

	details  map[string]simDetail
	detailNo int

	asks    []*simAsk
	byCall  map[string]*simAsk
	keys    []*simKeyAnswer
	marks   map[string]*simOutcome // by mark
	rounds  map[string]*simRound   // by callback ID
	rows    map[string]int
	reused  map[string][]byte // the secrets, in a broken version
	listens bool              // the test checks logs and returned errors
	wrong   string            // the first violation
	calm    bool              // the end of the history: no call fails any more
}

// simBroken replaces parts of the code with wrong ones. The zero value changes
// nothing.
type simBroken struct {
	by        string // the guarantee that the version breaks, and by which it must be found
	show      string // a row that counts as a failure, to print the shortest history that takes it
	completer func(c *simCompleter) completer.Completer
	put       func(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error)
	start     func(w *simWorld, at *simAttempt, before *record.Record) bool // true: the function replaced Start
	started   func(at *simAttempt) time.Time
	number    func(at *simAttempt, before *record.Record) int32
	result    func(err error) error               // of Start
	asked     func(w *simWorld, id string) string // the callback ID that the external system gets
	options   func(o *Options)                    // of each hub
	retry     func(c Callback) error              // replaces Retry
}

func (w *simWorld) logf(format string, args ...any) {
	if w.trace == nil {
		return
	}
	indent := strings.Repeat("  ", len(w.frames))
	*w.trace = append(*w.trace, fmt.Sprintf("%-14s %s%s", simTime(time.Now()), indent, fmt.Sprintf(format, args...)))
}

// nameOf returns the name of a mark in the trace. The name is the same each
// time a history is played, but the mark is not.
func (w *simWorld) nameOf(mark string) string {
	switch m := w.marks[mark]; {
	case m != nil:
		return fmt.Sprintf("outcome %d", m.no)
	case mark == "":
		return "no mark"
	default:
		return "another mark"
	}
}

// violate records the first violation of a guarantee.
func (w *simWorld) violate(guarantee, format string, args ...any) {
	if w.wrong != "" {
		return
	}
	w.wrong = guarantee + ": " + fmt.Sprintf(format, args...)
	w.logf("VIOLATION %s", w.wrong)
}

func (w *simWorld) hit(row string) {
	w.rows[row]++
	if w.broken.show != "" && strings.HasPrefix(row, w.broken.show) {
		w.violate("shown", "%s", row)
	}
}

// simRetention is short, so that ended entries are removed within histories.
const simRetention = time.Hour

var simSkews = []time.Duration{0, 0, 0, 70 * time.Second, -40 * time.Second, 3 * time.Second}

// newProc starts a process at index i.
func (w *simWorld) newProc(i int) *simProc {
	w.made++
	p := &simProc{w: w, name: fmt.Sprintf("p%d", w.made), skew: simSkews[w.rng.n(len(simSkews))]}
	o := Options{
		Logger: slog.New(slog.DiscardHandler),
		Store:  &simStore{p}, Retention: simRetention, Pumps: map[string]heartbeat.Pump{"": simPump{}, simSilent: simSilentPump{}},
		Hooks: Hooks{
			Delivered: func(_ context.Context, c Callback) error { return w.hookCalled(p, c, "delivered", nil) },
			Over:      func(_ context.Context, c Callback, why error) error { return w.hookCalled(p, c, "over", why) },
			Refused:   func(_ context.Context, c Callback, why error) error { return w.hookCalled(p, c, "refused", why) },

			CancelRequested: func(_ context.Context, c Callback) error { return w.hookCalled(p, c, "cancel_requested", nil) },
			Paused:          func(_ context.Context, c Callback) error { return w.hookCalled(p, c, "paused", nil) },
			Reset:           func(_ context.Context, c Callback) error { return w.hookCalled(p, c, "reset", nil) },
		},
	}
	// One process of the fleet only settles.
	if i != 2 {
		c := &simCompleter{p}
		o.Completer = c
		if w.broken.completer != nil {
			o.Completer = w.broken.completer(c)
		}
	}
	if w.made%2 == 0 {
		o.Observer = simObserver{rng: &simRand{uint64(w.made)}, blocks: w.made%4 == 0} // its actions change no result
	}
	if w.broken.options != nil {
		w.broken.options(&o)
	}
	if w.listens {
		o.Logger = slog.New(slog.NewTextHandler(simLog{w}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	var err error
	if p.hub, err = New(o); err != nil {
		panic(err)
	}
	p.carries()
	if c, ok := p.hub.completer.(*throttle); ok {
		c.slow = false // a timer of its own would run outside the history
	}
	if o.Completer != nil && w.rng.chance(500) {
		p.hub.recorder.count(1)
	}
	return p
}

// proc draws a running process.
func (w *simWorld) proc() *simProc {
	i := w.rng.n(len(w.procs))
	if w.procs[i].dead {
		w.procs[i] = w.newProc(i)
	}
	return w.procs[i]
}

// worker draws a process with a completer.
func (w *simWorld) worker() *simProc {
	for {
		if p := w.proc(); p.hub.completer != nil {
			return p
		}
	}
}

// run plays a history to its end, and returns the first violation, or "".
func (h simHistory) run(broken simBroken, rows map[string]int, trace *[]string) string {
	w := &simWorld{
		rng: &simRand{h.seed}, broken: broken, trace: trace, mem: store.NewMemory(),
		records: make(map[string]*record.Record), jittered: make(map[int64]int64),
		byCall: make(map[string]*simAsk), marks: make(map[string]*simOutcome), rounds: make(map[string]*simRound),
		reused: make(map[string][]byte), details: make(map[string]simDetail), clock: time.Now(),
		rows: rows, ops: simOps(), listens: h.seed%simListens == 0,
	}
	if w.keyed = 100; w.rng.chance(300) {
		w.keyed = 900
	}
	for _, o := range w.ops {
		if w.keyed > 500 && strings.Contains("answer by key, answer and go on, end of a run, history goes, other workflow, workflow reset, workflow task", o.name) {
			o.weight *= 3
		}
		w.weights = append(w.weights, o.weight)
	}
	w.rates = simRates{
		fault: []int{0, 15, 60, 150}[w.rng.n(4)],
		nest:  []int{0, 25, 80, 150}[w.rng.n(4)],
		crash: []int{0, 50, 150}[w.rng.n(3)],
	}
	for i := range 3 {
		w.procs = append(w.procs, w.newProc(i))
	}
	w.addNewer()
	w.newRun("w1")
	w.schedule(w.runs[0])
	for _, seed := range h.steps {
		w.rng = &simRand{seed}
		w.act()
		if w.wrong != "" {
			return w.wrong
		}
	}
	w.rng = &simRand{h.seed + 1}
	w.finish()
	return w.wrong
}
