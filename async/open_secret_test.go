package async_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// TestOpenShowsNothingOfAPart passes parts of callback IDs to Open. A secret
// alone, for example, has the length of a keyed entry's ID.
func TestOpenShowsNothingOfAPart(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{
		w.start(1, async.StartOptions{}),
		"AAAAAAAAAAAAAAAAAAAAAA" + base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef")), // by key
	} {
		for _, part := range []string{id[len(id)-22:], id[:len(id)-22], id[1:], id + "A", id[:len(id)-1] + "/"} {
			_, untyped := w.hub.Open(t.Context(), part)
			_, typed := async.Open[Decision](t.Context(), w.hub, part)
			for _, err := range []error{untyped, typed} {
				wantErr(t, err, async.ErrNotFound)
				for i := range len(part) - 6 {
					if strings.Contains(err.Error(), part[i:i+6]) {
						t.Errorf("the error of Open shows %q of a string that is no callback ID: %v", part[i:i+6], err)
						break
					}
				}
			}
		}
	}
}

// TestOpenWithAWrongSecret counts the allocations before the secret is known to
// be wrong. The number is the same for entries of any size, and the error is
// the one for an entry that does not exist.
func TestOpenWithAWrongSecret(t *testing.T) {
	w := newWorld(t)
	w.completer.CompleteFunc = unavailable
	id := w.start(1, async.StartOptions{})
	small, _ := w.stored()
	wantNil(t, w.open(id).Reject(t.Context(), temporal.NewApplicationError(strings.Repeat("x", 1<<20), "No")))
	large, _ := w.stored()
	if len(large.Body) < 1<<20 {
		t.Fatalf("the large entry has %d bytes", len(large.Body))
	}
	wrong := id[:len(id)-22] + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{9}, 16))
	var kept store.Entry
	var missing error
	h, err := async.New(async.Options{Store: &faulty{Store: w.store, get: func(context.Context, string) (store.Entry, error) { return kept, missing }}})
	wantNil(t, err)
	spent := func() (bytes uint64, text string) {
		const runs = 50
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_, err := h.Open(t.Context(), wrong)
			wantErr(t, err, async.ErrNotFound)
			text = err.Error()
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / runs, text
	}
	if testing.AllocsPerRun(10, func() { _, _ = h.Open(t.Context(), wrong) }) == 0 {
		t.Fatal("nothing is counted")
	}
	kept = small
	least, text := spent()
	kept = large
	most, same := spent()
	kept, missing = store.Entry{}, store.ErrNotFound
	none, absent := spent()
	if most > least+1024 || least > none+1024 {
		t.Errorf("Open with a wrong secret allocates %d bytes for a large entry, %d for a small one, %d for none", most, least, none)
	}
	if text != same || text != absent {
		t.Errorf("the errors differ: %q, %q, %q", text, same, absent)
	}
}

// TestHolder: the encoded body and the decoded record give the same answer
// about a callback ID.
func TestHolder(t *testing.T) {
	w := newWorld(t)
	first := w.start(1, async.StartOptions{})
	wantNil(t, w.open(first).Fail(t.Context(), errors.New("no")))
	second := w.start(2, async.StartOptions{})
	e, _ := w.stored()
	wrong := first[:len(first)-22] + strings.Repeat("A", 22)
	for name, c := range map[string]struct {
		body        []byte
		id          string
		holds, sure bool
	}{
		"the current round":        {e.Body, second, true, true},
		"an earlier round":         {e.Body, first, true, true},
		"a wrong secret":           {e.Body, wrong, false, true},
		"a part of an ID":          {e.Body, first[1:], false, false},
		"another format":           {[]byte{2}, first, false, false},
		"an empty body":            {nil, first, false, false},
		"cut":                      {e.Body[:len(e.Body)-1], second, false, false},
		"no secret":                {[]byte{1}, second, false, false},
		"a later secret overrides": {append(bytes.Clone(e.Body), append([]byte{18<<3&0x7f | 2 | 0x80, 1, 16}, make([]byte, 16)...)...), second, false, true},
	} {
		if holds, sure := async.Holder(c.body, c.id); sure != c.sure || sure && holds != c.holds {
			t.Errorf("%s: got %v, sure %v, want %v, %v", name, holds, sure, c.holds, c.sure)
		}
		r, err := async.DecodeRecord(store.Entry{ID: "x", Body: c.body})
		if err != nil || !c.sure {
			continue
		}
		if got := async.RoundOf(r, c.id); got != c.holds {
			t.Errorf("%s: the decoded record says %v, want %v", name, got, c.holds)
		}
	}
}
