package async_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

func vote(by string) async.Note {
	return async.Note{At: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Kind: "vote", By: by, Data: json.RawMessage(`{"agrees": true}`)}
}

// twoOf decides when two different people have voted.
func twoOf(notes []async.Note) (Decision, bool, error) {
	var by []string
	for _, n := range notes {
		if n.Kind == "vote" && !slices.Contains(by, n.By) {
			by = append(by, n.By)
		}
	}
	return Decision{Approved: true, Reason: strings.Join(by, " and ")}, len(by) >= 2, nil
}

func TestDecideIsOneWrite(t *testing.T) {
	in(t, func(t *testing.T) {
		puts := 0
		w := newWorld(t, func(o *async.Options) {
			f := &faulty{Store: store.NewMemory()}
			f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
				puts++
				r, err := async.DecodeRecord(e)
				wantNil(t, err)
				if r.State == record.Settled && len(r.Notes) != 2 {
					t.Errorf("the outcome is written with %d notes, want 2", len(r.Notes))
				}
				return f.Store.Put(ctx, e)
			}
			o.Store = f
		})
		p := w.open(w.start(1, async.StartOptions{}))
		done, err := p.Decide(t.Context(), vote("ada"), twoOf)
		if wantNil(t, err); done {
			t.Fatal("one vote has decided")
		}
		w.wantState(async.Waiting)
		done, err = p.Decide(t.Context(), vote("ada"), twoOf)
		if wantNil(t, err); done || len(w.record().Notes) != 1 {
			t.Fatalf("a repeat: done %v with %d notes, want one note", done, len(w.record().Notes))
		}
		before := puts
		done, err = p.Decide(t.Context(), vote("bob"), twoOf)
		if wantNil(t, err); !done {
			t.Fatal("two votes haven't decided")
		}
		w.wantSent(1)
		if puts-before != 2 { // settled, and delivered
			t.Errorf("the decision took %d writes, want 2", puts-before)
		}
		for _, by := range []string{"ada", "bob"} {
			done, err = p.Decide(t.Context(), vote(by), twoOf)
			if wantNil(t, err); !done {
				t.Errorf("a repeat of %s's vote says that nothing is decided", by)
			}
		}
		_, err = p.Decide(t.Context(), vote("cyd"), twoOf)
		wantErr(t, err, async.ErrSettled)
		notes := w.open(p.ID()).Notes()
		if len(notes) != 2 || notes[0].By != "ada" || notes[1].By != "bob" || string(notes[1].Data) != `{"agrees":true}` || !notes[0].At.Equal(vote("").At) {
			t.Errorf("the journal is %v, want the two votes", notes)
		}
	})
}

func TestDecideRefuses(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.start(1, async.StartOptions{})
		p := w.open(id)
		why := errors.New("ada may not vote")
		_, err := p.Decide(t.Context(), vote("ada"), func([]async.Note) (Decision, bool, error) { return Decision{}, true, why })
		wantErr(t, err, why)
		_, err = p.Decide(t.Context(), vote("ada"), func([]async.Note) (Decision, bool, error) { panic("secret") })
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("a panic of the function: %v, want an error that doesn't repeat it", err)
		}
		_, err = p.Decide(t.Context(), vote("ada"), nil)
		wantErr(t, err, async.ErrInvalidArgument)
		var other async.Pending[Decision]
		_, err = other.Decide(t.Context(), vote("ada"), twoOf)
		wantErr(t, err, async.ErrNotFound)
		if n := len(w.record().Notes); n != 0 {
			t.Errorf("%d notes are written, want none", n)
		}
		w.wantState(async.Waiting)

		wantNil(t, p.Abandon(t.Context()))
		_, err = p.Decide(t.Context(), vote("ada"), twoOf)
		wantErr(t, err, async.ErrClosed, async.ErrAbandoned)
		wantNil(t, p.Note(t.Context(), async.Note{Kind: "reason", By: "ops", Data: json.RawMessage(`"the expense is void"`)}))
		if n := w.open(id).Notes(); len(n) != 1 || n[0].At.IsZero() {
			t.Errorf("the journal is %v, want the operator's reason, dated", n)
		}

		w.startOtherType(2)
		_, err = p.Decide(t.Context(), vote("ada"), twoOf)
		wantErr(t, err, async.ErrSuperseded)
		wantErr(t, p.Note(t.Context(), vote("ada")), async.ErrSuperseded)
		if n := p.Notes(); len(n) != 0 {
			t.Errorf("the callback was opened before the note, and has %v", n)
		}
		c, err := w.hub.Open(t.Context(), id)
		wantNil(t, err)
		if n := c.Notes(); n != nil {
			t.Errorf("the callback ID of a round that is over has the notes %v", n)
		}
	})
}

// TestNotesAreBounded: a note over a limit is refused with an error that names
// the reason.
func TestNotesAreBounded(t *testing.T) {
	w := newWorld(t)
	p := w.open(w.start(1, async.StartOptions{}))
	large := json.RawMessage(`"` + strings.Repeat("x", 16<<10) + `"`)
	for what, n := range map[string]async.Note{
		"no kind":         {By: "ada"},
		"no UTF-8":        {Kind: "vote", By: "caf\xe9"},
		"no JSON":         {Kind: "vote", Data: json.RawMessage(`{"a":`)},
		"two values":      {Kind: "vote", Data: json.RawMessage(`1 2`)},
		"text not UTF-8":  {Kind: "vote", Data: json.RawMessage("\"caf\xe9\"")},
		"too large":       {Kind: "vote", Data: large},
		"before its time": {Kind: "vote", At: time.Unix(0, 1)},
		"year 3000":       {Kind: "vote", At: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(what, func(t *testing.T) {
			wantErr(t, p.Note(t.Context(), n), async.ErrInvalidArgument)
			_, err := p.Decide(t.Context(), n, twoOf)
			wantErr(t, err, async.ErrInvalidArgument)
			if strings.Contains(err.Error(), "xxx") {
				t.Error("the error repeats the note")
			}
		})
	}
	for i := range 3 {
		wantNil(t, p.Note(t.Context(), async.Note{Kind: "comment", By: fmt.Sprint(i), Data: json.RawMessage(`"` + strings.Repeat("x", 15<<10) + `"`)}))
	}
	wantNil(t, p.Note(t.Context(), async.Note{Kind: "comment", Data: json.RawMessage(`"` + strings.Repeat("y", 15<<10) + `"`)}))
	wantErr(t, p.Note(t.Context(), async.Note{Kind: "comment", Data: json.RawMessage(`"` + strings.Repeat("z", 5<<10) + `"`)}), async.ErrJournalFull)
	for i := range 252 {
		wantNil(t, p.Note(t.Context(), async.Note{Kind: "c", By: fmt.Sprint(i), Data: json.RawMessage(`1`)}))
	}
	wantErr(t, p.Note(t.Context(), async.Note{Kind: "c", By: "one more"}), async.ErrJournalFull)
	_, err := p.Decide(t.Context(), vote("ada"), twoOf)
	wantErr(t, err, async.ErrJournalFull)
	if n := len(w.open(p.ID()).Notes()); n != 256 {
		t.Errorf("%d notes are there, want 256", n)
	}
}

// TestNotesStayWithTheRound: a new attempt keeps the notes, and a new round
// begins without notes.
func TestNotesStayWithTheRound(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.start(1, async.StartOptions{})
		wantNil(t, w.open(id).Note(t.Context(), vote("ada")))
		if again := w.start(2, async.StartOptions{}); again != id {
			t.Fatal("the second attempt has another callback ID")
		}
		p := w.open(id)
		if n := len(p.Notes()); n != 1 {
			t.Fatalf("the second attempt has %d notes, want 1", n)
		}
		wantNil(t, p.Fail(t.Context(), errors.New("ask again")))
		if n := len(w.open(id).Notes()); n != 1 {
			t.Fatalf("with a delivered failure %d notes are there, want 1", n)
		}
		w.start(3, async.StartOptions{})
		if n := len(w.record().Notes); n != 0 {
			t.Errorf("the next round begins with %d notes", n)
		}
	})
}

// TestNotesInStart: the function of Start can add notes, for example to post a
// request.
func TestNotesInStart(t *testing.T) {
	w := newWorld(t)
	request := async.Note{At: scheduled, Kind: "request", Data: json.RawMessage(`{"title":"Dinner"}`)}
	for n := range 2 {
		err := async.StartAttempt(t.Context(), w.hub, attempt(n+1), async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
			return p.Note(ctx, request)
		})
		if err != activity.ErrResultPending {
			t.Fatal(err)
		}
	}
	if r := w.record(); len(r.Notes) != 1 || r.HandedOffStarted != r.Started {
		t.Errorf("%d notes, handed off: %v, want one note, and the hand-off recorded", len(r.Notes), r.HandedOffStarted == r.Started)
	}
}

// TestDecideByMany makes many people vote at once through two hubs: exactly two
// decide, and the result names them.
func TestDecideByMany(t *testing.T) {
	w := newWorld(t)
	other, err := async.New(async.Options{Store: w.store, Completer: w.completer})
	wantNil(t, err)
	id := w.start(1, async.StartOptions{})
	var done, late atomic.Int32
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			p, err := async.Open[Decision](t.Context(), []*async.Hub{w.hub, other}[n%2], id)
			if err != nil {
				t.Error(err)
				return
			}
			switch decided, err := p.Decide(t.Context(), vote(fmt.Sprint("v", n)), twoOf); {
			case errors.Is(err, async.ErrSettled):
				late.Add(1)
			case err != nil:
				t.Error(err)
			case decided:
				done.Add(1)
			}
		})
	}
	wg.Wait()
	r := w.record()
	if done.Load() != 1 || late.Load() != 98 || len(r.Notes) != 2 {
		t.Errorf("%d callers have decided, %d were late, with %d notes, want 1, 98 and 2", done.Load(), late.Load(), len(r.Notes))
	}
	call := w.wantSent(1)[0]
	if want := r.Notes[0].By + " and " + r.Notes[1].By; !bytes.Contains(call.Outcome.Result.Payloads[0].Data, []byte(want)) {
		t.Errorf("the result is %s, want the names %s", call.Outcome.Result.Payloads[0].Data, want)
	}
}

// TestDecideLostReply: the reply to the deciding write is lost, and the
// driver's repeat of the write conflicts.
func TestDecideLostReply(t *testing.T) {
	in(t, func(t *testing.T) {
		f := &faulty{Store: store.NewMemory()}
		w := newWorld(t, func(o *async.Options) { o.Store = f })
		p := w.open(w.start(1, async.StartOptions{}))
		_, err := p.Decide(t.Context(), vote("ada"), twoOf)
		wantNil(t, err)
		f.put = func(ctx context.Context, e store.Entry) (uint64, error) {
			f.put = nil
			if _, err := f.Store.Put(ctx, e); err != nil {
				return 0, err
			}
			_, err := w.hub.Work(ctx)
			wantNil(t, err)
			time.Sleep(time.Minute)
			_, err = w.hub.Work(ctx) // the claim has expired, so the hub delivers, and the body changes
			wantNil(t, err)
			return f.Store.Put(ctx, e)
		}
		done, err := p.Decide(t.Context(), vote("bob"), twoOf)
		if wantNil(t, err); !done {
			t.Error("the decision was accepted, and the caller gets that it was not")
		}
		w.wantSent(1)
	})
}

// TestDecideInTransaction: a hub from Hub.With settles the activity, and
// another hub delivers the outcome.
func TestDecideInTransaction(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.start(1, async.StartOptions{})
		p, err := async.Open[Decision](t.Context(), w.hub.With(w.store), id)
		wantNil(t, err)
		for _, by := range []string{"ada", "bob"} {
			_, err = p.Decide(t.Context(), vote(by), twoOf)
			wantNil(t, err)
		}
		w.wantState(async.Settled)
		w.wantSent(0)
		_, err = w.hub.Work(t.Context())
		wantNil(t, err)
		w.wantSent(1)
	})
}
