package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// TestModel calls a store with random operations, and closes and opens it in
// between. TestModel compares every result with that of a map.
func TestModel(t *testing.T) {
	steps := 6_000
	if soaking() {
		steps = 200_000
	}
	m := &model{
		t:       t,
		random:  newRandom(t),
		path:    newPath(t),
		entries: make(map[string]store.Entry),
		given:   make(map[string]bool),
	}
	m.s = openWith(t, m.path, Options{NoSyncForTests: true})
	for m.step = range steps {
		m.one()
		if t.Failed() {
			t.Fatalf("at step %d", m.step)
		}
	}
	m.compare()
	if err := m.s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

type model struct {
	t       *testing.T
	random  *rand.Rand
	path    string
	s       *Store
	step    int
	entries map[string]store.Entry
	given   map[string]bool // ID and version
	now     int64
}

func (m *model) id() string { return fmt.Sprintf("id-%03d", m.random.IntN(200)) }

// version returns the version of an entry, or a wrong one, or none.
func (m *model) version(id string) uint64 {
	switch m.random.IntN(8) {
	case 0:
		return m.random.Uint64N(uint64(m.step) + 2)
	case 1:
		return 0
	default:
		return m.entries[id].Version
	}
}

func (m *model) one() {
	switch m.random.IntN(100) {
	default:
		m.put()
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15:
		m.delete()
	case 20, 21, 22, 23, 24, 25, 26, 27, 28, 29:
		m.claim()
	case 30, 31, 32, 33, 34:
		m.get(m.id())
	case 40:
		if m.random.IntN(5) == 0 {
			m.compare()
		}
	case 41:
		if err := m.s.Close(); err != nil {
			m.t.Errorf("Close: %v", err)
		}
		m.s = openWith(m.t, m.path, Options{NoSyncForTests: true})
		m.compare()
	}
}

func (m *model) put() {
	id := m.id()
	e := store.Entry{ID: id, Version: m.version(id), Body: make([]byte, m.random.IntN(600))}
	if m.random.IntN(50) == 0 {
		e.Body = make([]byte, m.random.IntN(40_000))
	}
	for i := range e.Body {
		e.Body[i] = byte(m.random.Uint32())
	}
	if m.random.IntN(3) > 0 {
		e.Due = at(m.now + m.random.Int64N(1000))
	}
	old, there := m.entries[id]
	var want error
	switch {
	case there && e.Version == 0:
		want = store.ErrExists
	case old.Version != e.Version:
		want = store.ErrConflict
	}
	version, err := m.s.Put(m.t.Context(), e)
	if !errors.Is(err, want) {
		m.t.Errorf("Put of %s at version %d: expected %v, got %v", id, e.Version, want, err)
	}
	if err == nil {
		e.Version = version
		m.written(e)
	}
}

func (m *model) written(e store.Entry) {
	key := fmt.Sprintf("%s %d", e.ID, e.Version)
	if e.Version == 0 || m.given[key] {
		m.t.Errorf("%s: version %d is zero or was given before", e.ID, e.Version)
	}
	m.given[key] = true
	m.entries[e.ID] = e
}

func (m *model) delete() {
	id := m.id()
	version := m.version(id)
	old, there := m.entries[id]
	var want error
	if there && old.Version != version {
		want = store.ErrConflict
	}
	if err := m.s.Delete(m.t.Context(), id, version); !errors.Is(err, want) {
		m.t.Errorf("Delete of %s at version %d: expected %v, got %v", id, version, want, err)
	} else if err == nil {
		delete(m.entries, id)
	}
}

func (m *model) claim() {
	m.now += m.random.Int64N(50)
	n := 1 + m.random.IntN(20)
	until := at(m.now + 1 + m.random.Int64N(1000))
	var due []store.Entry
	for _, e := range m.entries {
		if !e.Due.IsZero() && !e.Due.After(at(m.now)) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b store.Entry) int { return bytes.Compare(indexKey(a), indexKey(b)) })
	due = due[:min(n, len(due))]
	claimed, err := m.s.Claim(m.t.Context(), at(m.now), until, n)
	if err != nil || len(claimed) != len(due) {
		m.t.Errorf("Claim: expected %d entries, got %d, %v", len(due), len(claimed), err)
		return
	}
	for i, e := range claimed {
		want := due[i]
		if e.ID != want.ID || !e.Due.Equal(until) || !bytes.Equal(e.Body, want.Body) {
			m.t.Errorf("Claim: expected %s, got %s, or not its body and the new due", want.ID, e.ID)
		}
		m.written(e)
	}
}

func indexKey(e store.Entry) []byte { return dueKey(e.Due.UnixMilli(), e.ID) }

func (m *model) get(id string) {
	got, err := m.s.Get(m.t.Context(), id)
	want, there := m.entries[id]
	if !there {
		if !errors.Is(err, store.ErrNotFound) {
			m.t.Errorf("Get of %s: expected ErrNotFound, got %v", id, err)
		}
		return
	}
	if err != nil || !same(got, want) {
		m.t.Errorf("Get of %s: expected version %d due %v, got %d, %v, %v, or another body", id, want.Version, want.Due, got.Version, got.Due, err)
	}
}

func same(a, b store.Entry) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Due.Equal(b.Due) && bytes.Equal(a.Body, b.Body)
}

// compare compares the whole content.
func (m *model) compare() {
	left := maps.Clone(m.entries)
	for e, err := range m.s.List(m.t.Context()) {
		if err != nil {
			m.t.Errorf("List: %v", err)
			return
		}
		if !same(e, left[e.ID]) {
			m.t.Errorf("List: %s isn't as it was written, or comes twice", e.ID)
		}
		delete(left, e.ID)
	}
	if len(left) > 0 {
		m.t.Errorf("List: %d entries are missing", len(left))
	}
	for id := range m.entries {
		m.get(id)
	}
}
