package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// writers is the number of goroutines that write if a check needs many entries.
// The number is large enough for a backend with group commit to use it.
const writers = 8

// at returns the time ms milliseconds after a fixed time in 2030. No check
// depends on the present time.
func at(ms int) time.Time {
	return time.UnixMilli(1_900_000_000_000 + int64(ms)).UTC()
}

var never time.Time // an Entry's Due

// insert stores a new entry. A failure ends the check.
func (c *checker) insert(s store.Store, id, body string, due time.Time) store.Entry {
	c.t.to.Helper()
	return c.put(s, store.Entry{ID: id, Due: due, Body: []byte(body)})
}

// put stores e and returns the stored entry. A failure ends the check.
func (c *checker) put(s store.Store, e store.Entry) store.Entry {
	c.t.to.Helper()
	stored, err := put(c.ctx, s, e)
	if err != nil {
		c.fatalf("%v", err)
	}
	return stored
}

// put stores e and returns the stored entry, or an error. It is for goroutines
// that may not end the check.
func put(ctx context.Context, s store.Store, e store.Entry) (store.Entry, error) {
	version, err := s.Put(ctx, e)
	switch {
	case err != nil:
		return e, fmt.Errorf("put of %s at version %d: got %w, want nil", e.ID, e.Version, err)
	case version == 0:
		return e, fmt.Errorf("put of %s: got version 0, want another: 0 means not stored yet", e.ID)
	case version == e.Version:
		return e, fmt.Errorf("put of %s at version %d: got the same version, want a new one", e.ID, e.Version)
	}
	e.Version = version
	if !e.Due.IsZero() {
		e.Due = time.UnixMilli(e.Due.UnixMilli())
	}
	return e, nil
}

// populate inserts entries from several goroutines, and sets their versions.
func (c *checker) populate(s store.Store, entries []store.Entry) {
	c.t.to.Helper()
	c.each(writers, func(w int) (err error) {
		for i := w; i < len(entries); i += writers {
			if entries[i], err = put(c.ctx, s, entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// numbered returns n entries whose IDs begin with prefix, each with a body.
func numbered(prefix string, n int, due func(i int) time.Time) []store.Entry {
	entries := make([]store.Entry, n)
	for i := range entries {
		id := fmt.Sprintf("%s%05d", prefix, i)
		entries[i] = store.Entry{ID: id, Due: due(i), Body: []byte("body of " + id)}
	}
	return entries
}

// get returns an existing entry.
func (c *checker) get(s store.Store, id string) store.Entry {
	c.t.to.Helper()
	e, err := s.Get(c.ctx, id)
	if err != nil {
		c.fatalf("Get of %s: got %v, want the entry", id, err)
	}
	return e
}

// delete removes e. A failure ends the check.
func (c *checker) delete(s store.Store, e store.Entry) {
	c.t.to.Helper()
	if err := s.Delete(c.ctx, e.ID, e.Version); err != nil {
		c.fatalf("Delete of %s at its version: got %v, want nil", e.ID, err)
	}
}

// claim makes a claim. A failure ends the check.
func (c *checker) claim(s store.Store, now, until time.Time, n int) []store.Entry {
	c.t.to.Helper()
	got, err := s.Claim(c.ctx, now, until, n)
	if err != nil {
		c.fatalf("Claim of %d: got %v, want nil", n, err)
	}
	if len(got) > n {
		c.fatalf("Claim of %d: got %d entries, want no more than asked for", n, len(got))
	}
	return got
}

// drain claims until the result is empty. drain gives up after want results
// that were not empty, because each of them has at least one of the want due
// entries.
func (c *checker) drain(s store.Store, now, until time.Time, n, want int) []store.Entry {
	c.t.to.Helper()
	var all []store.Entry
	for range want + 1 {
		got := c.claim(s, now, until, n)
		if len(got) == 0 {
			return all
		}
		all = append(all, got...)
	}
	c.fatalf("claims with %d entries due: got %d entries in %d answers, and still none is empty", want, len(all), want+1)
	return nil
}

// list returns all entries that List yields.
func (c *checker) list(s store.Store) []store.Entry {
	c.t.to.Helper()
	var all []store.Entry
	for e, err := range s.List(c.ctx) {
		if err != nil {
			c.fatalf("List: got %v after %d entries, want no error", err, len(all))
		}
		all = append(all, e)
	}
	return all
}

// byID indexes entries by ID. If several entries have one ID, the last one
// counts.
func byID(entries []store.Entry) map[string]store.Entry {
	m := make(map[string]store.Entry, len(entries))
	for _, e := range entries {
		m[e.ID] = e
	}
	return m
}

// wantErr reports a failure unless errors.Is(err, want).
func (c *checker) wantErr(err, want error, doing string, args ...any) {
	c.t.to.Helper()
	if !errors.Is(err, want) {
		c.errorf("%s: got %v, want an error that is %q", fmt.Sprintf(doing, args...), err, want)
	}
}

// wantEntry reports a failure unless got equals want in all four fields.
func (c *checker) wantEntry(got, want store.Entry, where string, args ...any) {
	c.t.to.Helper()
	if d := difference(got, want); d != "" {
		c.errorf("%s: %s", fmt.Sprintf(where, args...), d)
	}
}

// wantStored reports a failure unless Get returns exactly want.
func (c *checker) wantStored(s store.Store, want store.Entry, when string, args ...any) {
	c.t.to.Helper()
	got, err := s.Get(c.ctx, want.ID)
	if err != nil {
		c.errorf("Get of %s %s: got %v, want the entry", want.ID, fmt.Sprintf(when, args...), err)
		return
	}
	c.wantEntry(got, want, "Get %s", fmt.Sprintf(when, args...))
}

// wantAbsent reports a failure unless Get returns ErrNotFound.
func (c *checker) wantAbsent(s store.Store, id, when string, args ...any) {
	c.t.to.Helper()
	_, err := s.Get(c.ctx, id)
	c.wantErr(err, store.ErrNotFound, "Get of %s %s", id, fmt.Sprintf(when, args...))
}

// wantClaimed reports a failure unless the IDs of got are exactly want, each once.
func (c *checker) wantClaimed(got []store.Entry, when string, want ...string) {
	c.t.to.Helper()
	count := make(map[string]int)
	for _, e := range got {
		count[e.ID]++
	}
	for _, id := range want {
		if count[id] != 1 {
			c.errorf("claimed %s: got %s %d times, want once", when, id, count[id])
		}
		delete(count, id)
	}
	for id, n := range count {
		c.errorf("claimed %s: got %s %d times, want not at all", when, id, n)
	}
}

// difference describes how got differs from want, or returns "".
func difference(got, want store.Entry) string {
	switch {
	case got.ID != want.ID:
		return fmt.Sprintf("got ID %q, want %q", got.ID, want.ID)
	case got.Version != want.Version:
		return fmt.Sprintf("got version %d of %s, want %d", got.Version, want.ID, want.Version)
	case !got.Due.Equal(want.Due):
		return fmt.Sprintf("got due %s of %s, want %s", dueText(got.Due), want.ID, dueText(want.Due))
	case !bytes.Equal(got.Body, want.Body):
		return fmt.Sprintf("got body %s of %s, want %s", bodyText(got.Body), want.ID, bodyText(want.Body))
	}
	return ""
}

func dueText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02T15:04:05.999999999Z")
}

func bodyText(b []byte) string {
	const show = 24
	if len(b) <= show {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q… of %d bytes", b[:show], len(b))
}
