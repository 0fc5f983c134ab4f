package storetest

import (
	"bytes"
	"cmp"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// bodyChecks check that a store changes no byte of a body.
func bodyChecks() []check {
	return []check{
		{
			name: "Body/NilAndEmptyAreTheSame",
			says: "Nil and empty are the same.",
			run: func(c *checker) {
				s := c.open()
				for id, body := range map[string][]byte{"nil": nil, "empty": {}} {
					e := c.put(s, store.Entry{ID: id, Due: at(1), Body: body})
					c.wantStored(s, e, "with a %s body", id)
					e.Body = []byte("something")
					e = c.put(s, e)
					c.wantStored(s, e, "with a body in place of the %s one", id)
					e.Body = body
					e = c.put(s, e)
					c.wantStored(s, e, "with its body replaced by a %s one", id)
				}
				for _, e := range c.drain(s, at(1), at(9), 2, 2) {
					if len(e.Body) != 0 {
						c.errorf("Claim of %s: got body %s, want none", e.ID, bodyText(e.Body))
					}
				}
			},
		},
		{
			name: "Body/EveryByteIsKept",
			says: "Body is opaque to the store.",
			run: func(c *checker) {
				s := c.open()
				every := make([]byte, 256)
				for i := range every {
					every[i] = byte(i)
				}
				bodies := map[string]string{
					"every": string(every), "zero": "\x00", "zeros": "\x00\x00inside\x00\x00", "newlines": "\r\n\n",
					"not-utf8": "\xff\xfe\xc3\x28", "quotes": `"'\{}[]%s$1;--`, "blanks": "  blank  ", "digits": "007",
				}
				want := make(map[string]store.Entry)
				for id, body := range bodies {
					want[id] = c.insert(s, id, body, at(1))
					c.wantStored(s, want[id], "with bytes of every value")
				}
				for id, e := range byID(c.list(s)) {
					c.wantEntry(e, want[id], "List")
				}
				for _, e := range c.drain(s, at(1), at(9), 3, len(bodies)) {
					if string(e.Body) != bodies[e.ID] {
						c.errorf("Claim of %s: got body %s, want %s", e.ID, bodyText(e.Body), bodyText([]byte(bodies[e.ID])))
					}
				}
			},
		},
		{
			name: "Body/ReplacedWhole",
			says: "Put replaces the entry.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "", at(1))
				for _, n := range []int{10, 5000, 3, 100_000, 1, 4096, 0, 65_536} {
					e.Body = []byte(strings.Repeat("x", n))
					e = c.put(s, e)
					c.wantStored(s, e, "with a body of %d bytes in place of another", n)
				}
			},
		},
		{
			name: "Body/LargestIsTaken",
			says: "Body is at most MaxStored bytes long.",
			run: func(c *checker) {
				s := c.open()
				e := c.put(s, store.Entry{ID: "large", Due: at(1), Body: c.large(1)})
				c.wantStored(s, e, "with a body of MaxStored bytes")
				e.Body = c.large(2)
				e = c.put(s, e)
				c.wantStored(s, e, "with a body of MaxStored bytes replaced by another")
				for _, got := range c.list(s) {
					c.wantEntry(got, e, "List of a body of MaxStored bytes")
				}
			},
		},
		{
			name: "Body/OverLargestIsErrInvalid",
			says: "A size outside what Entry says is ErrInvalid, and nothing is changed.",
			run: func(c *checker) {
				s := c.open()
				over := append(c.large(1), 0)
				_, err := s.Put(c.ctx, store.Entry{ID: "new", Due: at(1), Body: over})
				c.wantErr(err, store.ErrInvalid, "insert of a body of MaxStored+1 bytes")
				c.wantAbsent(s, "new", "after an insert that is invalid")

				e := c.insert(s, "entry", "body", at(1))
				_, err = s.Put(c.ctx, store.Entry{ID: e.ID, Version: e.Version, Due: at(2), Body: over})
				c.wantErr(err, store.ErrInvalid, "Put of a body of MaxStored+1 bytes")
				c.wantStored(s, e, "after a Put that is invalid")
			},
		},
	}
}

// large returns a body of the largest size.
func (c *checker) large(salt byte) []byte {
	pattern := []byte{'l', 'a', 'r', 'g', 'e', 0, 0xff, salt}
	return bytes.Repeat(pattern, c.maxBody()/len(pattern)+1)[:c.maxBody()]
}

// maxBody returns the largest size of a body that the store must accept.
func (c *checker) maxBody() int { return cmp.Or(c.features.MaxBody, store.MaxStored) }

// ownershipChecks check that a store and its callers share no memory.
func ownershipChecks() []check {
	return []check{
		{
			name: "Body/PutKeepsNoReference",
			says: "Put keeps no reference to the Body it is given.",
			run: func(c *checker) {
				s := c.open()
				for _, replace := range []bool{false, true} {
					e := store.Entry{ID: "entry", Due: at(1), Body: []byte("as it was put")}
					if replace {
						e.Version = c.get(s, e.ID).Version
					}
					e = c.put(s, e)
					want := e
					want.Body = bytes.Clone(e.Body)
					scribble(e.Body)
					c.wantStored(s, want, "after its caller changed the bytes that it had put")
				}
			},
		},
		{
			name: "Body/OfGetBelongsToTheCaller",
			says: "The caller owns the Body of an entry and may change it.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "as it was put", at(1))
				kept := c.get(s, "entry")
				scribble(c.get(s, "entry").Body)
				c.wantEntry(kept, e, "the answer of another Get, after its like was changed")
				c.wantStored(s, e, "after the body of another Get was changed")
			},
		},
		{
			name: "Body/OfClaimBelongsToTheCaller",
			says: "The caller owns the Body of an entry and may change it.",
			run: func(c *checker) {
				s := c.open()
				c.insert(s, "entry", "as it was put", at(1))
				for i, got := range c.drain(s, at(1), at(9), 1, 1) {
					want := got
					want.Body = bytes.Clone(got.Body)
					scribble(got.Body)
					c.wantStored(s, want, "after the body of claim %d was changed", i)
				}
			},
		},
		{
			name: "Body/OfListBelongsToTheCaller",
			says: "The caller owns the Body of an entry and may change it.",
			run: func(c *checker) {
				s := c.open()
				entries := numbered("entry-", 20, func(i int) time.Time { return at(i) })
				c.populate(s, entries)
				for e, err := range s.List(c.ctx) {
					if err != nil {
						c.fatalf("List: got %v, want no error", err)
					}
					scribble(e.Body)
				}
				for _, e := range entries {
					c.wantStored(s, e, "after the bodies of List were changed")
				}
			},
		},
		{
			name: "Body/ReadStaysIntact",
			says: "The caller owns the Body of an entry, and later writes do not change it.",
			run:  bodyReadStaysIntact,
		},
	}
}

// scribble overwrites every byte of a body.
func scribble(body []byte) {
	for i := range body {
		body[i] ^= 0x5a
	}
}

// bodyReadStaysIntact finds bodies that point into the backend's own pages. A
// body that points into the pages changes only after entries are overwritten
// and the file grows.
func bodyReadStaysIntact(c *checker) {
	s := c.open()
	entries := numbered("entry-", 160, func(i int) time.Time { return at(i % 16) })
	for i := range entries {
		entries[i].Body = bytes.Repeat([]byte{byte(i)}, 60+i*i%6000)
	}
	c.populate(s, entries)

	want := make(map[string][]byte)
	for _, e := range entries {
		want[e.ID] = bytes.Clone(e.Body)
	}
	var read []store.Entry
	for _, e := range entries[:40] {
		read = append(read, c.get(s, e.ID))
	}
	read = append(read, c.list(s)...)
	read = append(read, c.claim(s, at(8), at(99), 40)...)

	overwrite := func(salt byte) {
		c.each(writers, func(w int) error {
			for i := w; i < len(entries); i += writers {
				e, err := s.Get(c.ctx, entries[i].ID)
				if err != nil {
					return err
				}
				scribble(e.Body)
				e.Body = append(e.Body, salt)
				if _, err := put(c.ctx, s, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	overwrite(1)
	grow := numbered("grow-", 48, func(int) time.Time { return never })
	for i := range grow {
		grow[i].Body = bytes.Repeat([]byte{'g'}, 128<<10)
	}
	c.populate(s, grow)
	overwrite(2)

	for i, e := range read {
		if !bytes.Equal(e.Body, want[e.ID]) {
			c.fatalf("body %d of %d read before other writes: got %s of %s, want %s",
				i, len(read), bodyText(e.Body), e.ID, bodyText(want[e.ID]))
		}
	}
}
