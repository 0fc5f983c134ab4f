package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// limited is a store with a limit on the size of bodies.
type limited struct {
	store.Store
	most int
}

func (s limited) MaxBody() int { return s.most }

func (s limited) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if len(e.Body) > s.most {
		return 0, store.Wrap("put", "limited", e.ID, fmt.Errorf("%w: body must be at most %d bytes, got %d", store.ErrInvalid, s.most, len(e.Body)))
	}
	return s.Store.Put(ctx, e)
}

// TestSealedSmallestMaxBody seals stores with the smallest MaxBody that a
// harness may have. Sealing itself uses a part of that size.
func TestSealedSmallestMaxBody(t *testing.T) {
	for _, more := range []int{0, store.SealRoom - 1} {
		t.Run(fmt.Sprint("256KiB+", more), func(t *testing.T) {
			most := minMaxBody + more
			Run(t, Sealed(Harness{
				Features: Features{Ordered: true, MaxBody: most},
				Open:     func(*testing.T) store.Store { return limited{store.NewMemory(), most} },
			}))
		})
	}
	h := memory()
	h.Features.MaxBody = minMaxBody - 1
	for name, h := range map[string]Harness{"the backend": h, "the sealed backend": Sealed(h)} {
		if err := h.validate(); err == nil || !strings.Contains(err.Error(), "between 256 KiB") {
			t.Errorf("a harness with a MaxBody under 256 KiB, of %s: got %v, want an error", name, err)
		}
	}
}
