package storetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// Sealed returns a harness for the stores of h, each sealed by [store.Seal]. Run
// the suite with it to check that a backend stores sealed entries correctly.
func Sealed(h Harness) Harness {
	wrap := func(t *testing.T, inner store.Store) store.Store {
		t.Helper()
		if inner == nil {
			return nil
		}
		s, err := store.Seal(t.Context(), inner, sealOptions())
		if err != nil {
			t.Fatalf("Seal: %v", err)
		}
		wrong := sealOptions()
		wrong.IDKey = bytes.Repeat([]byte{3}, 32)
		if _, err := store.Seal(t.Context(), inner, wrong); !errors.Is(err, store.ErrKey) {
			t.Errorf("Seal with another IDKey: got %v, want ErrKey", err)
		}
		return sealed{Sealed: s, inner: inner}
	}
	of := func(s store.Store) store.Store { return s.(sealed).inner }
	out := Harness{Features: h.Features, room: store.SealRoom, Open: func(t *testing.T) store.Store { return wrap(t, h.Open(t)) }}
	out.Features.MaxBody = store.MaxBody
	if limit := h.Features.MaxBody; limit > 0 {
		out.Features.MaxBody = min(limit-store.SealRoom, store.MaxBody)
	}
	if h.Reopen != nil {
		out.Reopen = func(t *testing.T, s store.Store) store.Store { return wrap(t, h.Reopen(t, of(s))) }
	}
	if h.Peer != nil {
		out.Peer = func(t *testing.T, s store.Store) store.Store { return wrap(t, h.Peer(t, of(s))) }
	}
	if h.Break != nil {
		out.Break = func(t *testing.T, s store.Store) { h.Break(t, of(s)) }
	}
	if h.Lose != nil {
		out.Lose = func(t *testing.T, s store.Store, meanwhile func()) { h.Lose(t, of(s), meanwhile) }
	}
	if h.Flap != nil {
		out.Flap = func(t *testing.T, s store.Store) { h.Flap(t, of(s)) }
	}
	if h.Corrupt != nil {
		out.Corrupt = func(t *testing.T, s store.Store, id string) {
			t.Helper()
			e, err := s.Get(t.Context(), id)
			if err != nil {
				t.Fatalf("Get of the entry to damage: %v", err)
			}
			h.Corrupt(t, of(s), s.(sealed).kept(t, e))
		}
	}
	return out
}

type sealed struct {
	*store.Sealed
	inner store.Store
}

// kept returns the ID that an entry has in the inner store. The result is the
// ID of the inner entry with the same version and due time. kept cannot
// distinguish entries with the same version and due time. A test with one entry
// has no such entries.
func (s sealed) kept(t *testing.T, e store.Entry) string {
	t.Helper()
	for k, err := range s.inner.List(t.Context()) {
		if err == nil && k.Version == e.Version && k.Due.Equal(e.Due) {
			return k.ID
		}
	}
	t.Fatal("the entry to damage is not in the inner store")
	return ""
}

func sealOptions() store.SealOptions {
	return store.SealOptions{
		IDKey:  bytes.Repeat([]byte{1}, 32),
		Keys:   map[string][]byte{"key-1": bytes.Repeat([]byte{2}, 32)},
		Active: "key-1",
	}
}
