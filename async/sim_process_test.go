package async

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

var (
	errSimCrashed = errors.New("simulation: this process is dead")
	errSimAway    = errors.New("simulation: can't be reached")
)

// simProc is a process with a hub. After a crash, its calls have no effect, and
// its hub's results are not used.
type simProc struct {
	w    *simWorld
	name string
	hub  *Hub
	skew time.Duration // by how much the clock of the process is fast
	dead bool

	storeAway time.Time // the process cannot reach the store until this time
	refused   bool      // Temporal refuses this process and not the others
	carried   []func()  // deliveries whose callers have left
}

// crash ends the process. Deliveries that it has not recorded are lost.
func (p *simProc) crash() {
	p.dead, p.carried = true, nil
	p.loseDeliveries()
}

// simPut is a body as a hub wrote it and as the store has it.
type simPut struct{ hubs, stored []byte }

// simFrame is a running operation and its observations. Operations nest: when
// one operation calls the store or Temporal, others run completely before the
// effect of that call, or after it. The nested operations cover all
// interleavings at the boundaries of steps, and need no goroutine.
type simFrame struct {
	op           string
	p            *simProc
	crashIn      int           // number of calls until the process dies; 0: it does not die
	rough        bool          // a call failed, or another operation ran in between
	beating      bool          // the operation handles a pump's decision
	skips        bool          // the pump wants no beat
	outage       time.Duration // how long the store is unreachable, at most as long as Start waits
	losesReplies bool          // of Complete
	calls        []string
	reads        map[string]simRead // each entry as it was last read or written
	looks        map[context.Context]simLook
	settled      []string // the marks of the outcomes that this operation settled
	reason       *Note    // the note that belongs to the operation's change
	lasts        []simPut // the bodies that the operation has written, and may read back in the same form
}

// simRead is a process's knowledge of an entry.
type simRead struct {
	rec *record.Record
	at  int // the number of writes at that time
}

// seen records that the current process knows the current state of an entry.
func (w *simWorld) seen(id string) { w.frame().reads[id] = simRead{w.records[id], w.writes} }

// simLook is the answer of Describe before a call by ID.
type simLook struct {
	act   *simAct
	epoch int
}

func (w *simWorld) push(op string, p *simProc) *simFrame {
	f := &simFrame{op: op, p: p, reads: make(map[string]simRead), looks: make(map[context.Context]simLook)}
	if w.rng.chance(w.rates.crash) {
		f.crashIn = 1 + w.rng.n(1+w.rng.n(simEdges))
	}
	w.frames = append(w.frames, f)
	return f
}

func (w *simWorld) pop() {
	w.align()
	w.frames = w.frames[:len(w.frames)-1]
}

func (w *simWorld) frame() *simFrame { return w.frames[len(w.frames)-1] }

// edge is the boundary between two steps of a process. Other operations run at
// this boundary, and the process may die at it.
func (w *simWorld) edge() error {
	w.align()
	f := w.frame()
	if f.p.dead {
		return errSimCrashed
	}
	if f.crashIn > 0 {
		if f.crashIn--; f.crashIn == 0 {
			w.logf("%s crashes", f.p.name)
			f.p.crash()
			f.rough = true
			return errSimCrashed
		}
	}
	if len(w.frames) <= simDepth && w.rng.chance(w.rates.nest) {
		for _, outer := range w.frames {
			outer.rough = true
		}
		w.logf("… meanwhile:")
		w.act()
		w.logf("… back in %s of %s", f.op, f.p.name)
	}
	if f.p.dead {
		return errSimCrashed
	}
	return nil
}

const (
	// simDepth is the maximum depth of nested operations.
	simDepth = 2

	// simEdges is the number of boundaries of an operation at which a process
	// may die. Few operations have more boundaries. Early boundaries are drawn
	// more often, because every operation has them.
	simEdges = 40
)

// fault draws one of the ways in which a call can fail; 0 is none.
func (w *simWorld) fault(kinds int) int {
	if !w.rng.chance(w.rates.fault) {
		return 0
	}
	w.frame().rough = true
	return 1 + w.rng.n(kinds)
}

// simEnded returns ctx.Err, except at the exact time of the deadline. At the
// exact deadline, it is random whether the runtime has ended the context.
func simEnded(ctx context.Context) error {
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// around makes a call that can fail before or after its effect. A client may
// also repeat the call by itself, or the call may take effect after the caller
// has given up.
func around[T any](w *simWorld, ctx context.Context, late bool, what string, effect func() (T, error)) (T, error) {
	var none T
	if err := w.edge(); err != nil {
		return none, err
	}
	if err := simEnded(ctx); err != nil && w.rng.chance(500) {
		return none, err
	}
	v, err := none, error(nil)
	kind := w.fault(4)
	switch kind {
	case 1:
		w.logf("%s: %s is lost on its way", w.frame().p.name, what)
		return none, errSimAway
	case 2:
		w.logf("%s: the reply to %s is lost", w.frame().p.name, what)
		_, _ = effect()
		v, err = none, errSimAway
	case 3:
		w.logf("%s: %s is made twice", w.frame().p.name, what)
		_, _ = effect()
		if err := w.edge(); err != nil {
			return none, err
		}
		v, err = effect()
	case 4:
		if late {
			w.logf("%s: %s takes effect later", w.frame().p.name, what)
			f := w.frame()
			w.late = append(w.late, simLate{sent: time.Now(), land: func() {
				w.frames = append(w.frames, f)
				defer w.pop()
				_, _ = effect()
			}})
		}
		return none, context.DeadlineExceeded
	default:
		v, err = effect()
	}
	if dead := w.edge(); dead != nil {
		return none, dead
	}
	if ended := simEnded(ctx); ended != nil && kind == 0 && w.rng.chance(500) {
		return none, ended
	}
	return v, err
}

// unreachable returns the error of a call while the process cannot reach the
// store. A call that reached the store before may still take effect late.
func (p *simProc) unreachable() error {
	if p.w.landing || !time.Now().Before(p.storeAway) {
		return nil
	}
	if f := p.w.frame(); f.outage == 0 {
		f.rough = true // longer than Start waits, or met by another operation
	}
	return errSimAway
}

// simStore is a process's connection to the shared store. simStore applies the
// process's clock: a hub with a fast clock writes later times, and reads the
// times of other hubs as if they were earlier.
type simStore struct {
	p *simProc
}

func (s *simStore) Get(ctx context.Context, id string) (store.Entry, error) {
	w := s.p.w
	return around(w, ctx, false, "Get", func() (store.Entry, error) {
		if err := s.p.unreachable(); err != nil {
			return store.Entry{}, err
		}
		e, err := w.mem.Get(ctx, id)
		if err != nil {
			return e, err
		}
		w.seen(id)
		return s.p.incoming(e), nil
	})
}

func (s *simStore) Put(ctx context.Context, e store.Entry) (uint64, error) {
	w := s.p.w
	// The hub read its clock just before.
	out, rec := s.p.outgoing(e)
	if w.broken.put != nil {
		return w.broken.put(s, ctx, out, rec)
	}
	return s.put(ctx, out, rec)
}

func (s *simStore) put(ctx context.Context, out store.Entry, rec *record.Record) (uint64, error) {
	w := s.p.w
	return around(w, ctx, true, "Put", func() (uint64, error) {
		if err := s.p.unreachable(); err != nil {
			return 0, err
		}
		return w.put(out, rec)
	})
}

func (s *simStore) Delete(ctx context.Context, id string, version uint64) error {
	w := s.p.w
	_, err := around(w, ctx, true, "Delete", func() (struct{}, error) {
		if err := s.p.unreachable(); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, w.remove(s.p, id, version)
	})
	return err
}

func (s *simStore) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	w := s.p.w
	return around(w, ctx, false, "Claim", func() ([]store.Entry, error) {
		if err := s.p.unreachable(); err != nil {
			return nil, err
		}
		es, err := w.mem.Claim(ctx, now.Add(s.p.skew), until.Add(s.p.skew), n)
		for i := range es {
			w.seen(es[i].ID)
			es[i] = s.p.incoming(es[i])
		}
		return es, err
	})
}

func (s *simStore) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return s.p.w.mem.List(ctx)
}

func (s *simStore) Close() error { return nil }

// simCompleter is a process's connection to Temporal.
type simCompleter struct {
	p *simProc
}

func (c *simCompleter) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	w := c.p.w
	how := "id"
	if t.TaskToken != nil {
		how = "token"
	}
	f := w.frame()
	if w.away {
		f.rough = true
	}
	w.sent(f, t, o)
	// A late call by ID could reach any activity. This gap is documented, and
	// the simulation does not test it.
	_, err := around(w, ctx, t.TaskToken != nil, "Complete by "+how, func() (struct{}, error) {
		if w.away {
			return struct{}{}, errSimAway
		}
		if w.refusing || c.p.refused {
			return struct{}{}, completer.ErrRefused
		}
		err := w.complete(f, t, o)
		if f.losesReplies {
			w.logf("%s: the reply is lost", c.p.name)
			f.rough, err = true, errSimAway
		}
		return struct{}{}, err
	})
	f.calls = append(f.calls, how+":"+simClass(err))
	w.logf("%s: Complete %v by %s (%s): %v", c.p.name, o, how, w.nameOf(o.Mark), simClass(err))
	return err
}

func (c *simCompleter) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	w := c.p.w
	f := w.frame()
	if w.away {
		f.rough = true
	}
	s, err := around(w, ctx, false, "Describe", func() (completer.Status, error) {
		if w.away {
			return completer.Status{}, errSimAway
		}
		if c.p.refused {
			f.rough = true
			return completer.Status{}, completer.ErrRefused
		}
		if a := w.actOf(t); a != nil {
			f.looks[ctx] = simLook{act: a, epoch: a.epoch}
		}
		s := w.describe(t, mark)
		if !s.LastHeartbeat.IsZero() {
			s.LastHeartbeat = s.LastHeartbeat.Add(-c.p.skew)
		}
		return s, nil
	})
	f.calls = append(f.calls, "look:"+simStatus(s, err, mark))
	w.logf("%s: Describe (%s): %s", c.p.name, w.nameOf(mark), simStatus(s, err, mark))
	return s, err
}

func simClass(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, completer.ErrOver):
		return "over"
	case errors.Is(err, completer.ErrCancelNotRequested):
		return "not requested"
	case errors.Is(err, completer.ErrRefused):
		return "refused"
	default:
		return "failed"
	}
}

func simStatus(s completer.Status, err error, mark string) string {
	switch {
	case err != nil:
		return simClass(err)
	case s.Pending && mark != "" && s.LastMark == mark:
		return "pending, marked"
	case s.Pending && s.Running:
		return "running"
	case s.Pending:
		return "back-off"
	default:
		return fmt.Sprintf("end %d", s.End)
	}
}
