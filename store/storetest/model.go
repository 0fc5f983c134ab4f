package storetest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// modelChecks call a store with random operations and compare every result with
// that of a map.
func modelChecks() []check {
	const steps = 400
	return []check{
		{
			name: "Model/RandomOperations",
			says: "All of the contract that one caller can see.",
			run: func(c *checker) {
				c.random(&machine{c: c, handles: []store.Store{c.open()}}, steps)
			},
		},
		{
			name:  "Model/AcrossReopening",
			says:  "Features.Durable: all of the contract holds across Close and Reopen.",
			needs: durable,
			run: func(c *checker) {
				c.random(&machine{c: c, handles: []store.Store{c.open()}, reopens: true}, steps)
			},
		},
		{
			name:  "Model/AcrossHandles",
			says:  "Features.Shared: all of the contract holds through whichever handle.",
			needs: shared,
			run: func(c *checker) {
				a, b := c.pair()
				c.random(&machine{c: c, handles: []store.Store{a, b}}, steps)
			},
		},
	}
}

// seedFrom reads LATCHKEY_SEED, or draws a seed if it is not set.
func seedFrom(value string) (uint64, error) {
	if value == "" {
		return rand.Uint64(), nil
	}
	seed, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is %q: it must be a number from 0 to %d", SeedVariable, value, uint64(1<<64-1))
	}
	return seed, nil
}

// random runs a program that is drawn from the check's seed.
func (c *checker) random(m *machine, steps int) {
	c.t.to.Helper()
	source := rand.NewPCG(c.seed, 0)
	var program []byte
	for range steps { // a step takes at most 8 bytes
		program = binary.LittleEndian.AppendUint64(program, source.Uint64())
	}
	m.replay = fmt.Sprintf("the same again: %s=%d", SeedVariable, c.seed)
	m.run(program, steps)
}

// machine runs a program against a store and a model of it. A program is any
// string of bytes, so that a fuzzer can write it. The operations of a program
// depend only on the bytes and the features. Which versions are stale also
// depends on which entries the store has claimed.
type machine struct {
	c       *checker
	handles []store.Store
	reopens bool
	replay  string // how to repeat the failure

	entries map[string]store.Entry // the model
	past    map[string][]uint64    // the versions of each ID, in order
	tape    []byte
	trace   []string
}

// There are few modelIDs, and they are similar, so that operations meet.
var modelIDs = [...]string{"a", "A", "a.", "a-b", "aa", "0r1c3kq5d0-Zm9vYmFyYmF6cXV4Y29yZ2U", "0r1c3kq5d1-Zm9vYmFyYmF6cXV4Y29yZ2U", "_"}

func (m *machine) run(program []byte, steps int) {
	m.c.t.to.Helper()
	m.entries = make(map[string]store.Entry)
	m.past = make(map[string][]uint64)
	m.tape = program
	for n := 0; n < steps && len(m.tape) > 0; n++ {
		m.step()
	}
	m.listAll(m.handles[0])
	for _, id := range modelIDs {
		m.getOne(m.handles[len(m.handles)-1], id)
	}
}

// next takes a byte of the program. After the end of the program, next returns
// zeros.
func (m *machine) next() int {
	if len(m.tape) == 0 {
		return 0
	}
	b := m.tape[0]
	m.tape = m.tape[1:]
	return int(b)
}

func (m *machine) step() {
	m.c.t.to.Helper()
	op := m.next()
	s := m.handles[op/16%len(m.handles)]
	switch op % 16 {
	case 0, 1:
		m.putOne(s, m.id(), 0)
	case 2, 3, 4, 5:
		id := m.id()
		m.putOne(s, id, m.entries[id].Version) // an insert if the entry is absent
	case 6:
		id := m.id()
		m.putOne(s, id, m.old(id))
	case 7:
		id := m.id()
		m.deleteOne(s, id, m.entries[id].Version)
	case 8:
		id := m.id()
		m.deleteOne(s, id, m.old(id))
	case 9, 10, 11:
		m.claimSome(s)
	case 12, 13, 14:
		m.getOne(s, m.id())
	case 15:
		if m.reopens && m.next()%4 == 0 {
			m.note("reopen")
			m.handles[0] = m.c.reopen(m.handles[0])
			return
		}
		m.listAll(s)
	}
}

func (m *machine) id() string { return modelIDs[m.next()%len(modelIDs)] }

// due returns a time shortly after at(0), or never. The times in the model are
// close together, so that a claim's now often equals one of them.
func (m *machine) due() time.Time {
	b := m.next()
	if b%8 == 0 {
		return never
	}
	return at(b / 8).Add(time.Duration(b%8) * 120_000)
}

func (m *machine) body() []byte {
	b := m.next()
	size := b % 100
	switch {
	case b >= 250:
		size = 70_000
	case b >= 200:
		size *= 100
	}
	return slices.Repeat([]byte{byte(len(m.trace)), byte(b), 0}, size/3+1)[:size]
}

// old returns an earlier version of the ID, or a version that it never had.
func (m *machine) old(id string) uint64 {
	b := m.next()
	if past := m.past[id]; len(past) > 0 && b%5 > 0 {
		return past[b%len(past)]
	}
	v := uint64(b) + 1
	if slices.Contains(m.past[id], v) {
		v = 1 << 63
	}
	return v
}

func (m *machine) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

// fail ends the check and reports the operations so far.
func (m *machine) fail(format string, args ...any) {
	m.c.t.to.Helper()
	recent := m.trace[max(0, len(m.trace)-12):]
	m.c.fatalf("step %d: %s\n%s\nthe last steps:\n\t%s", len(m.trace), fmt.Sprintf(format, args...), m.replay, strings.Join(recent, "\n\t"))
}

func (m *machine) putOne(s store.Store, id string, version uint64) {
	m.c.t.to.Helper()
	e := store.Entry{ID: id, Version: version, Due: m.due(), Body: m.body()}
	m.note("put %s at %s, due %s, %d bytes", id, m.place(id, version), dueText(e.Due), len(e.Body))
	current, there := m.entries[id]
	given, err := s.Put(m.c.ctx, e)
	switch {
	case version == 0 && there:
		m.wantErr(err, store.ErrExists)
	case version != current.Version:
		m.wantErr(err, store.ErrConflict)
	case err != nil:
		m.fail("got %v, want nil", err)
	default:
		if !e.Due.IsZero() {
			e.Due = e.Due.Truncate(time.Millisecond)
		}
		e.Version = given
		m.accept(e)
	}
}

func (m *machine) deleteOne(s store.Store, id string, version uint64) {
	m.c.t.to.Helper()
	m.note("delete %s at %s", id, m.place(id, version))
	current, there := m.entries[id]
	err := s.Delete(m.c.ctx, id, version)
	switch {
	case there && version != current.Version:
		m.wantErr(err, store.ErrConflict)
	case err != nil:
		m.fail("got %v, want nil", err)
	default:
		delete(m.entries, id)
	}
}

func (m *machine) getOne(s store.Store, id string) {
	m.c.t.to.Helper()
	m.note("get %s", id)
	want, there := m.entries[id]
	got, err := s.Get(m.c.ctx, id)
	if !there {
		m.wantErr(err, store.ErrNotFound)
		return
	}
	if err != nil {
		m.fail("got %v, want the entry", err)
	}
	if d := difference(got, want); d != "" {
		m.fail("%s", d)
	}
}

func (m *machine) listAll(s store.Store) {
	m.c.t.to.Helper()
	m.note("list")
	listed := make(map[string]bool)
	for got, err := range s.List(m.c.ctx) {
		if err != nil {
			m.fail("got %v, want no error", err)
		}
		if _, there := m.entries[got.ID]; !there {
			m.fail("got %s, want only what is there", got.ID)
		}
		if d := difference(got, m.entries[got.ID]); d != "" {
			m.fail("%s", d)
		}
		listed[got.ID] = true
	}
	if len(listed) != len(m.entries) {
		m.fail("got %d entries, want %d", len(listed), len(m.entries))
	}
}

func (m *machine) claimSome(s store.Store) {
	m.c.t.to.Helper()
	b := m.next()
	now := at(b % 40).Add(time.Duration(b) * 1000)
	until := now.Add(time.Duration(1+m.next()%30) * time.Millisecond)
	n := 1 + m.next()%4
	m.note("claim %d at %s until %s", n, dueText(now), dueText(until))
	var due []store.Entry // oldest first
	for _, e := range m.entries {
		if !e.Due.IsZero() && !e.Due.After(now) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b store.Entry) int { return cmp.Compare(a.Due.UnixMilli(), b.Due.UnixMilli()) })

	got, err := s.Claim(m.c.ctx, now, until, n)
	switch {
	case err != nil:
		m.fail("got %v, want nil", err)
	case len(got) > n:
		m.fail("got %d entries, want no more than %d", len(got), n)
	case len(got) == 0 && len(due) > 0:
		m.fail("got none with %d due, want at least one", len(due))
	}
	claimed := make(map[string]bool)
	for i, e := range got {
		j := slices.IndexFunc(due, func(d store.Entry) bool { return d.ID == e.ID })
		if j < 0 || claimed[e.ID] {
			m.fail("got %s, want each entry that is due once at most, and no other", e.ID)
		}
		claimed[e.ID] = true
		if m.c.features.Ordered && !due[j].Due.Equal(due[i].Due) {
			m.fail("got %s, due %s, as number %d, want the oldest first: one due %s", e.ID, dueText(due[j].Due), i, dueText(due[i].Due))
		}
		want := store.Entry{ID: e.ID, Version: e.Version, Due: until.Truncate(time.Millisecond), Body: due[j].Body}
		if d := difference(e, want); d != "" {
			m.fail("%s", d)
		}
		m.accept(e)
	}
}

// accept updates the model with the result of a Put or a Claim.
func (m *machine) accept(e store.Entry) {
	m.c.t.to.Helper()
	if e.Version == 0 || slices.Contains(m.past[e.ID], e.Version) {
		m.fail("got version %d of %s, want one that was never given: neither 0 nor any of the %d before", e.Version, e.ID, len(m.past[e.ID]))
	}
	m.past[e.ID] = append(m.past[e.ID], e.Version)
	m.entries[e.ID] = e
}

func (m *machine) wantErr(err, want error) {
	m.c.t.to.Helper()
	if !errors.Is(err, want) {
		m.fail("got %v, want an error that is %q", err, want)
	}
}

// place describes the version of a step without its number, because a replay may
// have other numbers.
func (m *machine) place(id string, version uint64) string {
	if version == 0 {
		return "none"
	}
	if version == m.entries[id].Version {
		return "its version"
	}
	if i := slices.Index(m.past[id], version); i >= 0 {
		return fmt.Sprintf("the version %d before its last", len(m.past[id])-1-i)
	}
	return "a version never given"
}
