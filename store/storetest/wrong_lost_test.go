package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// repeatingPut replaces Put by one that calls the given function if its reply
// was lost.
func repeatingPut(again func(r *ref, ctx context.Context, e store.Entry) (uint64, error)) func(r *ref) store.Store {
	return func(r *ref) store.Store {
		return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
			version, err := r.put(ctx, e)
			if errors.Is(err, errUnreachable) && !r.broken.Load() {
				return again(r, ctx, e)
			}
			return version, err
		}}
	}
}

func wrongLost() []wrong {
	return []wrong{
		{name: "a put whose reply is lost guesses its version", caughtBy: []string{"Lost/InsertTookPlaceOnce", "Lost/PutTookPlaceOnce", "Lost/RepeatedPutUndoesNothing"},
			wrap: repeatingPut(func(r *ref, _ context.Context, e store.Entry) (uint64, error) {
				return r.peek(e.ID).Version + 1000, nil
			})},
		{name: "a put sent again gives another version", caughtBy: []string{"Lost/InsertTookPlaceOnce", "Lost/PutTookPlaceOnce"},
			wrap: repeatingPut(func(r *ref, ctx context.Context, e store.Entry) (uint64, error) {
				e.Version = r.peek(e.ID).Version
				return r.put(ctx, e)
			})},
		{name: "a put whose reply is lost was of something absent", caughtBy: []string{"Lost/InsertTookPlaceOnce", "Lost/PutTookPlaceOnce"},
			wrap: repeatingPut(func(*ref, context.Context, store.Entry) (uint64, error) { return 0, store.ErrNotFound })},
		{name: "a put whose reply is lost is taken back", caughtBy: []string{"Lost/PutTookPlaceOnce"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				before := r.peek(e.ID)
				version, err := r.put(ctx, e)
				if errors.Is(err, errUnreachable) && before.Version != 0 {
					r.poke(e.ID, func(kept *store.Entry) { *kept = before })
				}
				return version, err
			}}
		}},
		{name: "a put sent again overwrites what came between", caughtBy: []string{"Lost/RepeatedPutUndoesNothing"},
			wrap: repeatingPut(func(r *ref, ctx context.Context, e store.Entry) (uint64, error) {
				if now := r.peek(e.ID); string(now.Body) != string(e.Body) { // of another caller
					e.Version = now.Version
					return r.put(ctx, e)
				}
				return 0, errUnreachable
			})},
		{name: "a put sent again brings back what is gone", caughtBy: []string{"Lost/RepeatedPutBringsNothingBack"},
			wrap: repeatingPut(func(r *ref, ctx context.Context, e store.Entry) (uint64, error) {
				e.Version = 0
				return r.put(ctx, e)
			})},
		{name: "a delete sent again deletes whatever there is", caughtBy: []string{"Lost/RepeatedDeleteRemovesNothingElse"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				err := r.del(ctx, id, version)
				if errors.Is(err, errUnreachable) && !r.broken.Load() {
					err = r.del(ctx, id, r.peek(id).Version)
				}
				return err
			}}
		}},
		{name: "what a lost claim has taken never comes back", caughtBy: []string{"Lost/ClaimComesBackAtUntil"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			before := r.due(now)
			got, err := r.claim(ctx, now, until, n)
			if errors.Is(err, errUnreachable) {
				for _, e := range before[:n] {
					r.poke(e.ID, func(kept *store.Entry) { kept.Due = never })
				}
			}
			return got, err
		})},
		{name: "a claim returns what it has beside its error", caughtBy: []string{"Lost/ClaimComesBackAtUntil"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			before := r.due(now)
			got, err := r.claim(ctx, now, until, n)
			if errors.Is(err, errUnreachable) {
				return before[:n], err
			}
			return got, err
		})},
	}
}

// TestRepeatingStoresPass: the checks under Lost accept everything that the
// contract allows. It allows ErrExists and ErrConflict against the store's own
// earlier try, and a store that recognizes its own write.
func TestRepeatingStoresPass(t *testing.T) {
	again := func(recognise bool) func(r *ref) store.Store {
		return func(r *ref) store.Store {
			repeat := func(err error) bool { return errors.Is(err, errUnreachable) && !r.broken.Load() }
			s := repeatingPut(func(r *ref, ctx context.Context, e store.Entry) (uint64, error) {
				if now := r.peek(e.ID); recognise && now.Version != e.Version && string(now.Body) == string(e.Body) {
					return now.Version, nil
				}
				return r.put(ctx, e)
			})(r).(*twisted)
			s.del = func(ctx context.Context, id string, version uint64) error {
				err := r.del(ctx, id, version)
				if repeat(err) {
					err = r.del(ctx, id, version)
				}
				return err
			}
			s.claim = func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				got, err := r.claim(ctx, now, until, n)
				if repeat(err) {
					got, err = r.claim(ctx, now, until, n)
				}
				return got, err
			}
			return s
		}
	}
	for _, recognise := range []bool{false, true} {
		for _, k := range lostChecks() {
			for _, e := range observe(t, k.name, everything(again(recognise), nil), 1, time.Minute).errors {
				t.Errorf("%s on a store that repeats, and recognises its own writes: %t: got %s", k.name, recognise, strings.SplitN(e, "\n", 2)[0])
			}
		}
	}
}

// TestLoseThatLosesNothing: the suite reports a harness whose Lose does nothing.
func TestLoseThatLosesNothing(t *testing.T) {
	h := reference()
	h.Lose = func(*testing.T, store.Store, func()) {}
	for _, k := range lostChecks() {
		n := observe(t, k.name, h, 1, time.Minute)
		if len(n.errors) != 1 || !strings.Contains(n.errors[0], "Harness.Lose: no reply was lost") {
			t.Errorf("%s with a Lose that loses nothing: got %q, want one failure that says so", k.name, n.errors)
		}
	}
}
