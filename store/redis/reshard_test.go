package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// writer is the only writer of its entries, although another client may claim
// them. writer records the acknowledged writes.
type writer struct {
	s     store.Store
	name  string
	rng   *rand.Rand
	acked map[string]string // body by ID; "" if the entry was deleted
	doubt map[string]string // the last write, if it is unknown whether it took place
	ops   *atomic.Int64     // number of acknowledged operations
}

func newWriter(s store.Store, name string, ops *atomic.Int64) *writer {
	return &writer{
		s: s, name: name, ops: ops, rng: rand.New(rand.NewPCG(rand.Uint64(), 1)),
		acked: make(map[string]string), doubt: make(map[string]string),
	}
}

// step does one operation. step returns all errors, except those that follow
// from losing an entry to a claim.
func (w *writer) step(ctx context.Context, n int) error {
	id := fmt.Sprintf("%s-%d", w.name, w.rng.IntN(40))
	body := strconv.Itoa(n)
	e, err := w.s.Get(ctx, id)
	if absent := errors.Is(err, store.ErrNotFound); err != nil && !absent {
		return err
	} else if known, ok := w.acked[id]; ok && absent != (known == "") || !absent && string(e.Body) != known {
		return fmt.Errorf("Get of %s: got %q and %v, want %q, which was acknowledged", id, e.Body, err, known)
	}
	e.ID, e.Body, e.Due = id, []byte(body), at(w.rng.IntN(1000))
	if e.Version != 0 && w.rng.IntN(5) == 0 {
		body = ""
		err = w.s.Delete(ctx, id, e.Version)
	} else {
		_, err = w.s.Put(ctx, e)
	}
	switch {
	case err == nil:
		w.acked[id] = body
		w.ops.Add(1)
		return nil
	case errors.Is(err, store.ErrConflict):
		return nil // claimed meanwhile
	}
	w.doubt[id] = body
	return err
}

// check reports an error unless the store has all acknowledged writes.
func (w *writer) check(t *testing.T, s store.Store) {
	t.Helper()
	for id, want := range w.acked {
		doubt, ok := w.doubt[id]
		e, err := s.Get(t.Context(), id)
		got := string(e.Body)
		if err != nil && !errors.Is(err, store.ErrNotFound) || got != want && (!ok || got != doubt) {
			t.Errorf("Get of %s in the end: got %q and %v, want %q, which was acknowledged", id, got, err, want)
		}
	}
}

// testResharding moves every shard across all nodes several times while writers
// and a claimer work.
func testResharding(t *testing.T, c cluster) {
	rounds := 1
	if soak() {
		rounds = 10
	}
	const shards = 4
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := openStore(t, c.client(t, nil), redis.Options{Shards: shards})
	var ops atomic.Int64
	var wg sync.WaitGroup
	var writers []*writer
	for i := range 4 {
		w := newWriter(s, fmt.Sprintf("writer%d", i), &ops)
		writers = append(writers, w)
		wg.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				// Writes do not use ctx: canceling it would leave the result of
				// a write unknown.
				if err := w.step(t.Context(), n); err != nil {
					t.Errorf("beside resharding: %v", err)
					return
				}
			}
		})
	}
	claims := 0
	wg.Go(func() {
		for now := 1000; ctx.Err() == nil; now++ {
			got, err := s.Claim(t.Context(), at(now), at(now+100_000), 8)
			if err != nil {
				t.Errorf("Claim beside resharding: got %v, want nil", err)
				return
			}
			claims += len(got)
		}
	})
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	moved := 0
	for range rounds * len(c.nodes) {
		for shard := range shards {
			before := ops.Load()
			c.begin(t, fmt.Sprintf("latchkey:{%d}:due", shard)).finish(func() {
				moved++
				<-pace.C
			})
			eventually(t, "written to between two moves", func() bool { return ops.Load() > before || t.Failed() })
		}
	}
	cancel()
	wg.Wait()
	for _, w := range writers {
		w.check(t, s)
	}
	t.Logf("%d keys moved beside %d acknowledged writes and %d entries claimed", moved, ops.Load(), claims)
	wantClaimable(t, s, writers)
}

// wantClaimable reports an error unless all acknowledged entries are in the due
// sets.
func wantClaimable(t *testing.T, s store.Store, writers []*writer) {
	t.Helper()
	want := make(map[string]bool)
	for _, w := range writers {
		for id, body := range w.acked {
			if doubt, ok := w.doubt[id]; body != "" && (!ok || doubt != "") {
				want[id] = true
			}
		}
	}
	for {
		got, err := s.Claim(t.Context(), at(1_000_000_000), at(2_000_000_000), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		for _, e := range got {
			delete(want, e.ID)
		}
	}
	if len(want) != 0 {
		t.Errorf("claimed in the end: %d entries are missing, want all that were acknowledged", len(want))
	}
}
