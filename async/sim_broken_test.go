package async

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// simFound is the maximum number of histories that the simulation may need to
// find a broken version.
const simFound = 5_000

// TestSimulationFindsBrokenVersions shows that the simulation can fail. In each
// version, one rule of the design is wrong for one interleaving.
func TestSimulationFindsBrokenVersions(t *testing.T) {
	findBroken(t, simBrokenBeats)
	findBroken(t, simBrokenHandOff)
	findBroken(t, simBrokenBehind)
	findBroken(t, simBrokenWaits)
	findBroken(t, simBrokenShrink)
	findBroken(t, simBrokenRetry)
	findBroken(t, simBrokenJournal)
	findBroken(t, simBrokenAdopt)
	findBroken(t, map[string]simBroken{
		"failure by ID after any NotFound":      {by: "G2", completer: func(c *simCompleter) completer.Completer { return simFailsByID{c} }},
		"attempts ordered by number":            {by: "G4", started: startedByNumber},
		"by ID without the history guard":       {by: "G2", completer: func(c *simCompleter) completer.Completer { return simUnguarded{c} }},
		"a failure whose fate isn't known sent": {by: "G2", number: followsDirectly, put: neverOutrun},
		"a buffered event read as over":         {by: "G1", completer: func(c *simCompleter) completer.Completer { return simImpatient{c} }},
		"the outcome returned to the worker":    {by: "G1", start: returnOutcome},
		"a token kept over a claim": {by: "G5", completer: func(c *simCompleter) completer.Completer {
			return simKeepsTokens{c, make(map[time.Time]completer.Target)}
		}},
		"an own lost write read as a stranger's": {by: "G8", put: mistakeOwnWrite, result: mistakenDuplicate},
		"a deadline taken as a verdict":          {by: "G1", completer: func(c *simCompleter) completer.Completer { return simDeadlines{c} }},
		"the secret reused in the next round":    {by: "G2", put: reuseSecret, asked: reusedID},
		"Asked written without compare-and-swap": {by: "G1", put: forceAsked},
		"an attempt believed to run still":       {by: "row", completer: func(c *simCompleter) completer.Completer { return simBelieves{c} }},
		"the store's errors say what it has":     {by: "G7", put: sayToken},
	})
}

// findBroken checks that each version is found by the guarantee that it breaks.
// A history that fails in another way does not count.
func findBroken(t *testing.T, versions map[string]simBroken) {
	t.Helper()
	for name, broken := range versions {
		t.Run(name, func(t *testing.T) {
			rows, otherwise := make(map[string]int), make(map[string]int)
			for seed := range uint64(simFound) {
				h := newSimHistory(seed)
				wrong := h.play(t, broken, rows, nil)
				if wrong == "" || h.play(t, simBroken{}, rows, nil) != "" {
					continue
				}
				if guaranteeOf(wrong) == broken.by {
					t.Logf("found by history %d: %s", seed+1, wrong)
					return
				}
				otherwise[guaranteeOf(wrong)]++
			}
			t.Errorf("not found by %s in %d histories; otherwise: %v", broken.by, simFound, otherwise)
		})
	}
}

// TestSimulationShrinks shows that a failing history is reduced to the steps
// that are needed for the same failure.
func TestSimulationShrinks(t *testing.T) {
	broken := simBroken{put: reuseSecret, asked: reusedID}
	h, wrong := simHistory{}, ""
	for seed := uint64(0); wrong == ""; seed++ {
		if seed == simFound {
			t.Fatalf("the broken version isn't found in %d histories", seed)
		}
		h = newSimHistory(seed)
		wrong = h.play(t, broken, make(map[string]int), nil)
	}
	again := func(h simHistory) string { return guaranteeOf(h.play(t, broken, make(map[string]int), nil)) }
	short := h.shrink(t, broken, wrong)
	if got := again(short); got != guaranteeOf(wrong) || len(short.steps) >= len(h.steps) {
		t.Errorf("%d steps of %d are left, which break %q, want fewer, and %q", len(short.steps), len(h.steps), got, guaranteeOf(wrong))
	}
	for i := range short.steps {
		if again(simHistory{short.seed, slices.Delete(slices.Clone(short.steps), i, i+1)}) == guaranteeOf(wrong) {
			t.Errorf("step %d of %d that are left could be left out too", i+1, len(short.steps))
		}
	}
}

// simBelieves trusts the start time of every attempt, which may belong to a run
// before a workflow reset.
type simBelieves struct{ *simCompleter }

func (c simBelieves) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	s, err := c.simCompleter.Describe(ctx, t, mark)
	if c.p.w.frame().op == "start" && mark == "" {
		s.Running, s.Started = true, t.Started
	}
	return s, err
}

// sayToken is a store whose errors contain its arguments.
func sayToken(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	version, err := s.put(ctx, e, r)
	if errors.Is(err, errSimAway) {
		err = fmt.Errorf("%w: %s", err, r.TaskToken)
	}
	return version, err
}

// simFailsByID sends failures by ID after NotFound by token.
type simFailsByID struct{ *simCompleter }

func (c simFailsByID) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	err := c.simCompleter.Complete(ctx, t, o)
	if t.TaskToken != nil && o.Failure != nil && errors.Is(err, completer.ErrOver) {
		return c.simCompleter.Complete(ctx, t.ByID(), o)
	}
	return err
}

// startedByNumber orders attempts by their numbers.
func startedByNumber(at *simAttempt) time.Time {
	return at.act.scheduled.Add(time.Duration(at.num) * time.Second)
}

// followsDirectly treats each attempt as the direct successor of the attempt
// that the entry knows.
func followsDirectly(at *simAttempt, before *record.Record) int32 {
	if before == nil || before.Started >= at.started.UnixNano() {
		return at.num
	}
	return before.Attempt + 1
}

// neverOutrun does not record that a later attempt has begun.
func neverOutrun(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	if r.Outcome.GetOutrun() {
		r.Outcome.Outrun = false
		e = rewritten(e, r, s.p.hub)
	}
	return s.put(ctx, e, r)
}

// simUnguarded treats any pending activity with the right activity ID as the
// intended one.
type simUnguarded struct{ *simCompleter }

func (c simUnguarded) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	if a := c.p.w.byID(t); a != nil {
		t.Scheduled = a.scheduled
	}
	return c.simCompleter.Describe(ctx, t, mark)
}

// simImpatient treats an activity as over although its end is not in history
// yet.
type simImpatient struct{ *simCompleter }

func (c simImpatient) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	s, err := c.simCompleter.Describe(ctx, t, mark)
	if !s.Pending && s.End == completer.EndBuffered {
		s.End = completer.EndOther
	}
	return s, err
}

// returnOutcome is a Start that returns a settled outcome. The worker then
// reports it, under an identity and with a failure of its own.
func returnOutcome(w *simWorld, at *simAttempt, before *record.Record) bool {
	if before == nil || State(before.State) != Settled || before.Early || before.ResultType != at.typ ||
		w.actOfRecord(before) != at.act || before.Started >= at.started.UnixNano() {
		return false
	}
	a, m := w.byToken(at.token), w.marks[before.Outcome.Mark]
	if a == nil {
		return true
	}
	w.count(m, a)
	switch o, _ := outcome(before); {
	case o.Result != nil:
		w.close(a, simEnd{kind: "completed", actual: m.mark})
	case o.Canceled != nil:
		w.close(a, simEnd{kind: "canceled", actual: m.mark})
	default:
		w.failAttempt(a, !o.Failure.GetApplicationFailureInfo().GetNonRetryable(), "", m.mark)
	}
	return true
}

// simKeepsTokens keeps the first token that it has seen of each activity.
type simKeepsTokens struct {
	*simCompleter
	seen map[time.Time]completer.Target // keyed by the time at which the activity was scheduled
}

func (c simKeepsTokens) Complete(ctx context.Context, t completer.Target, o completer.Outcome) error {
	if t.TaskToken != nil {
		kept, ok := c.seen[t.Scheduled]
		if !ok {
			kept = t
			c.seen[t.Scheduled] = t
		}
		t.TaskToken = kept.TaskToken
	}
	return c.simCompleter.Complete(ctx, t, o)
}

var errSimDuplicate = errors.New("simulation: taken for a duplicate")

// mistakeOwnWrite believes ErrExists.
func mistakeOwnWrite(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	version, err := s.put(ctx, e, r)
	if errors.Is(err, store.ErrExists) {
		return 0, errSimDuplicate
	}
	return version, err
}

// mistakenDuplicate is a wrong Start. If it finds an entry of the same attempt,
// it believes that the request was already sent.
func mistakenDuplicate(err error) error {
	if errors.Is(err, errSimDuplicate) {
		return activity.ErrResultPending
	}
	return err
}

// simDeadlines does not ask Temporal, after an activity's deadline, whether the
// activity is over.
type simDeadlines struct{ *simCompleter }

func (c simDeadlines) Describe(ctx context.Context, t completer.Target, mark string) (completer.Status, error) {
	if c.p.w.frame().op == "work" && mark == "" {
		return completer.Status{End: completer.EndTimedOut}, nil
	}
	return c.simCompleter.Describe(ctx, t, mark)
}

// reuseSecret writes the round after a failure with the secret of the round
// before.
func reuseSecret(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	w := s.p.w
	before := w.records[e.ID]
	if before != nil && State(before.State) == Closed && before.Outcome.GetKind() == record.Failure && State(r.State) == Waiting {
		w.reused[string(r.Secret)] = before.Secret
	}
	if old, ok := w.reused[string(r.Secret)]; ok {
		r.Secret = old
		var err error
		if e, err = (entry{id: e.ID, version: e.Version, due: e.Due, rec: r}).encode(); err != nil {
			return 0, fmt.Errorf("simulation: %w", err)
		}
	}
	return s.put(ctx, e, r)
}

func reusedID(w *simWorld, id string) string {
	c, _ := record.ParseCallbackID(id)
	if old, ok := w.reused[string(c.Secret())]; ok {
		return record.NewCallbackID(c.EntryID(), old).Reveal()
	}
	return id
}

// forceAsked overwrites any version of the entry to record that the function
// has returned.
func forceAsked(s *simStore, ctx context.Context, e store.Entry, r *record.Record) (uint64, error) {
	version, err := s.put(ctx, e, r)
	if !errors.Is(err, store.ErrConflict) || State(r.State) != Waiting || r.HandedOffStarted != r.Started || s.p.w.frame().op != "start" {
		return version, err
	}
	if now, err := s.Get(ctx, e.ID); err == nil {
		e.Version = now.Version
	}
	return s.put(ctx, e, r)
}
