package storetest

import (
	"math"

	"github.com/latchkey-go/latchkey/store"
)

// putChecks check compare-and-swap, and that Get sees its effect.
func putChecks() []check {
	return []check{
		{
			name: "Get/AbsentIsErrNotFound",
			says: "Get returns the entry with this ID, or ErrNotFound.",
			run: func(c *checker) {
				s := c.open()
				c.wantAbsent(s, "absent", "from an empty store")
				c.insert(s, "present", "body", at(0))
				c.wantAbsent(s, "absent", "next to another entry")
			},
		},
		{
			name: "Get/ChangesNothing",
			says: "Every Put and every Claim gives a new version; Get gives none.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(0))
				for range 3 {
					c.wantStored(s, e, "after other Gets")
				}
			},
		},
		{
			name: "Put/InsertThenGet",
			says: "Put inserts e where its Version is 0; the Version returned is the new one.",
			run: func(c *checker) {
				s := c.open()
				first := c.insert(s, "first", "body of the first", at(1))
				second := c.insert(s, "second", "body of the second", at(2))
				c.wantStored(s, first, "after its insert")
				c.wantStored(s, second, "after its insert")
			},
		},
		{
			name: "Put/InsertOfPresentIsErrExists",
			says: "Put with Version 0 returns ErrExists where there is an entry already.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "first", at(1))
				_, err := s.Put(c.ctx, store.Entry{ID: "entry", Due: at(2), Body: []byte("second")})
				c.wantErr(err, store.ErrExists, "insert of an ID that is there")
				c.wantStored(s, e, "after an insert that failed")
			},
		},
		{
			name: "Put/ReplacesAtItsVersion",
			says: "Else it replaces the entry that is there at exactly that Version.",
			run: func(c *checker) {
				s := c.open()
				other := c.insert(s, "other", "untouched", at(1))
				e := c.insert(s, "entry", "first", at(1))
				for _, body := range []string{"second", "third", "fourth"} {
					e.Body = []byte(body)
					e = c.put(s, e)
					c.wantStored(s, e, "after its replacement")
				}
				c.wantStored(s, other, "after another entry was replaced")
			},
		},
		{
			name: "Put/StaleVersionConflicts",
			says: "Put returns ErrConflict where the entry is at another version.",
			run: func(c *checker) {
				s := c.open()
				stale := c.insert(s, "entry", "first", at(1))
				e := c.put(s, store.Entry{ID: "entry", Version: stale.Version, Due: at(2), Body: []byte("second")})
				stale.Body, stale.Due = []byte("late"), at(3)
				_, err := s.Put(c.ctx, stale)
				c.wantErr(err, store.ErrConflict, "Put at the version before")
				c.wantStored(s, e, "after a Put that conflicted")
			},
		},
		{
			name: "Put/ForeignVersionConflicts",
			says: "Put replaces the entry at exactly that Version, all 64 bits of it.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				for _, v := range foreign(e.Version) {
					_, err := s.Put(c.ctx, store.Entry{ID: e.ID, Version: v, Body: []byte("late")})
					c.wantErr(err, store.ErrConflict, "Put at version %d of an entry at %d", v, e.Version)
				}
				c.wantStored(s, e, "after Puts that conflicted")
			},
		},
		{
			name: "Put/AbsentConflicts",
			says: "Put with a Version returns ErrConflict where the entry isn't there.",
			run: func(c *checker) {
				s := c.open()
				v := c.insert(s, "other", "body", at(1)).Version
				for _, v := range []uint64{1, v, math.MaxUint64} {
					_, err := s.Put(c.ctx, store.Entry{ID: "absent", Version: v, Body: []byte("body")})
					c.wantErr(err, store.ErrConflict, "Put at version %d of an entry that never was", v)
				}
				c.wantAbsent(s, "absent", "after Puts that conflicted")
			},
		},
		{
			name: "Put/GoneConflicts",
			says: "Put returns ErrConflict where the entry is gone.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				c.delete(s, e)
				_, err := s.Put(c.ctx, e)
				c.wantErr(err, store.ErrConflict, "Put at the last version of an entry that was deleted")
				c.wantAbsent(s, "entry", "after a Put that conflicted")
			},
		},
	}
}

// foreign returns versions that differ from v: its neighbors, and versions that
// equal v after a conversion to a float64 or a 32-bit number.
func foreign(v uint64) []uint64 {
	var vs []uint64
	for _, other := range []uint64{v - 1, v + 1, v ^ 1, v ^ 1<<32, v ^ 1<<63, math.MaxUint64} {
		if other != 0 && other != v {
			vs = append(vs, other)
		}
	}
	return vs
}

// deleteChecks check what Delete removes and what it refuses.
func deleteChecks() []check {
	return []check{
		{
			name: "Delete/Removes",
			says: "Delete removes the entry at that version.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				other := c.insert(s, "other", "untouched", at(1))
				c.delete(s, e)
				c.wantAbsent(s, "entry", "after its Delete")
				c.wantClaimed(c.drain(s, at(9), at(99), 10, 2), "after a Delete", "other")
				if all := byID(c.list(s)); len(all) != 1 || all["other"].ID == "" {
					c.errorf("List after a Delete: got %d entries, want only %s", len(all), other.ID)
				}
			},
		},
		{
			name: "Delete/AbsentIsNil",
			says: "Delete returns nil where there is no entry.",
			run: func(c *checker) {
				s := c.open()
				for _, v := range []uint64{0, 1, math.MaxUint64} {
					if err := s.Delete(c.ctx, "absent", v); err != nil {
						c.errorf("Delete of an entry that never was, at version %d: got %v, want nil", v, err)
					}
				}
				e := c.insert(s, "entry", "body", at(1))
				c.delete(s, e)
				if err := s.Delete(c.ctx, e.ID, e.Version); err != nil {
					c.errorf("second Delete of an entry: got %v, want nil", err)
				}
			},
		},
		{
			name: "Delete/WrongVersionConflicts",
			says: "Delete returns ErrConflict where the entry is at another version.",
			run: func(c *checker) {
				s := c.open()
				stale := c.insert(s, "entry", "first", at(1))
				e := c.put(s, stale)
				for _, v := range append(foreign(e.Version), stale.Version) {
					c.wantErr(s.Delete(c.ctx, e.ID, v), store.ErrConflict, "Delete at version %d of an entry at %d", v, e.Version)
				}
				c.wantStored(s, e, "after Deletes that conflicted")
			},
		},
		{
			name: "Delete/VersionZeroConflicts",
			says: "Version 0 is at no entry.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				c.wantErr(s.Delete(c.ctx, e.ID, 0), store.ErrConflict, "Delete at version 0 of an entry that is there")
				c.wantStored(s, e, "after a Delete that conflicted")
			},
		},
	}
}
