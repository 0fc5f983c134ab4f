package million

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// work makes a hub run and callers answer as fast as they can, until the
// returned function is called. The returned function returns the number of
// answers. When all entries have been answered, callers put them back and
// answer them again.
func (w *world) work() (end func() int64) {
	ctx, cancel := context.WithCancel(w.t.Context())
	h := w.newHub(w.store, nowhere{})
	var all sync.WaitGroup
	var answers atomic.Int64
	all.Go(func() { _ = h.Run(ctx) }) // Run ends with its context
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				n := int(w.next.Add(1))
				again := n >= w.entries
				if n %= w.entries; n%1000 == 999 {
					continue
				}
				err := w.answer(ctx, h, w.id(n), again)
				if err != nil && ctx.Err() == nil {
					w.t.Errorf("an answer next to pages: %v", err)
					return
				}
				answers.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		all.Wait()
		return answers.Load()
	}
}

// answer answers an entry. An entry that was answered before is put back first.
func (w *world) answer(ctx context.Context, h *async.Hub, id string, again bool) error {
	if again {
		e, err := w.store.Get(ctx, id)
		if err == nil {
			e.Body, e.Due = w.waits, time.Now().Add(24*time.Hour)
			_, err = w.store.Put(ctx, e)
		}
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
			return nil // the hub works on it
		}
		if err != nil {
			return err
		}
	}
	p, err := async.Open[Decision](ctx, h, id+w.secret)
	if err == nil {
		err = p.Complete(ctx, Decision{Approved: true})
	}
	return err
}
