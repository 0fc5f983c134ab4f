package async_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// small is a store that takes only small bodies.
type small struct {
	store.Store
	most int
}

func (s small) MaxBody() int { return s.most }

func (s small) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if len(e.Body) > s.most {
		return 0, store.Wrap("put", "small", e.ID, fmt.Errorf("%w: a body of %d bytes", store.ErrInvalid, len(e.Body)))
	}
	return s.Store.Put(ctx, e)
}

// The largest body that the store accepts limits BlobLimit, and also its
// default. New refuses a BlobLimit that does not fit.
func TestBlobLimitFollowsTheStore(t *testing.T) {
	for _, c := range []struct {
		body, asked int
		want        string // in the error
	}{
		{store.MaxStored, 3584 << 10, ""},
		{store.MaxBody, 3584 << 10, ""}, // the largest body of a sealed store
		{store.MaxBody, 3584<<10 + 1, "between 1 KiB and 3.5 MiB"},
		{1 << 20, 0, ""},
		{1 << 20, 448 << 10, ""},
		{1 << 20, 448<<10 + 1, "at most 458752 bytes with this store, which takes bodies of 1048576 bytes"},
		{1 << 20, 1023, "between 1 KiB and 3.5 MiB"},
		{64 << 10, 0, "must take bodies of at least 100352 bytes, it takes 65536"},
	} {
		_, err := async.New(async.Options{Store: small{store.NewMemory(), c.body}, BlobLimit: c.asked})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("BlobLimit %d on a store that takes %d bytes: got %v, want %q", c.asked, c.body, err, c.want)
		}
	}
}

// The largest result and the largest details fit into an entry of a store with
// small bodies. For a larger result, Complete returns ErrTooLarge.
func TestLargestEntryOfASmallStore(t *testing.T) {
	for _, body := range []int{256 << 10, 1 << 20, 4 << 20} {
		w := newWorld(t, func(o *async.Options) { o.Store = small{o.Store, body} })
		var id string
		err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(_ context.Context, p async.Pending[[]byte]) error {
			id = p.ID()
			return nil
		})
		if err == nil {
			t.Fatal("Start returned nil")
		}
		p, err := async.Open[[]byte](t.Context(), w.hub, id)
		wantNil(t, err)
		largest := 0 // bisection finds the largest details that are accepted
		for step := 4 << 20; step > 0; step /= 2 {
			err := p.Heartbeat(t.Context(), bytes.Repeat([]byte{1}, largest+step))
			if err == nil {
				largest += step
			} else if !errors.Is(err, async.ErrTooLarge) {
				t.Fatalf("a store that takes %d bytes: Heartbeat with %d bytes: got %v", body, largest+step, err)
			}
		}
		if least := body / 4; largest < least {
			t.Errorf("a store that takes %d bytes: details of at most %d bytes are taken, want %d or more", body, largest, least)
		}
		if err := p.Complete(t.Context(), make([]byte, body)); !errors.Is(err, async.ErrTooLarge) {
			t.Errorf("a store that takes %d bytes: Complete with as many: got %v, want ErrTooLarge", body, err)
		}
		// Results and details have the same limit up to 2 MiB.
		if err := p.Complete(t.Context(), make([]byte, largest)); err != nil {
			t.Errorf("a store that takes %d bytes: Complete with %d beside details of as many: got %v, want nil", body, largest, err)
		}
	}
}
