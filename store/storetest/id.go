package storetest

import (
	"strings"

	"github.com/latchkey-go/latchkey/store"
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// idChecks check which IDs are valid, and that no two IDs are treated as equal.
func idChecks() []check {
	return []check{
		{
			name: "ID/EveryCharacterOfTheAlphabet",
			says: "ID is 1 to 128 bytes of A-Z a-z 0-9 - _ and dot.",
			run: func(c *checker) {
				s := c.open()
				var ids []string
				for i := range len(alphabet) {
					ids = append(ids, alphabet[i:i+1])
				}
				c.wantApart(s, append(ids, alphabet)...)
			},
		},
		{
			name: "ID/OfOneAndOf128Bytes",
			says: "ID is 1 to 128 bytes of A-Z a-z 0-9 - _ and dot.",
			run: func(c *checker) {
				s := c.open()
				long := strings.Repeat("x", 126)
				c.wantApart(s, "x", "xx", long, long+"y", long+"yz", long+"yy", "y"+long+"z")
			},
		},
		{
			name: "ID/PrefixesAreApart",
			says: "Get returns the entry with this ID.",
			run: func(c *checker) {
				s := c.open()
				c.wantApart(s, "a", "ab", "abc", "abcd", "ab-", "ab-c", "ab_", "ab.", "ab.c", "ab.c.d", "b", "0", "00", "000", "0000000000000000")
			},
		},
		{
			name: "ID/DotsAndDashesAreOrdinary",
			says: "ID is 1 to 128 bytes of A-Z a-z 0-9 - _ and dot.",
			run: func(c *checker) {
				s := c.open()
				c.wantApart(s, ".", "..", "...", "-", "--", "-a", "a-", "_", "__", ".a", "a.", "a..b", "-.-", "._", ".lock", "a.tmp")
			},
		},
		{
			name: "ID/CaseMatters",
			says: "ID is bytes.",
			run: func(c *checker) {
				s := c.open()
				c.wantApart(s, "entry", "ENTRY", "Entry", "eNTRY", "entrY")
			},
		},
		{
			name: "ID/OthersAreErrInvalid",
			says: "An ID outside what Entry says is ErrInvalid, and nothing is changed.",
			run: func(c *checker) {
				s := c.open()
				e := c.insert(s, "entry", "body", at(1))
				bad := map[string]string{"empty": "", "129 bytes": strings.Repeat("x", 129), "a very long one": strings.Repeat("x", 70_000)}
				for i := range 256 {
					if strings.IndexByte(alphabet, byte(i)) < 0 {
						bad["a byte "+string("0123456789abcdef"[i>>4])+string("0123456789abcdef"[i&15])] = "a" + string([]byte{byte(i)}) + "b"
					}
				}
				bad["a letter beyond ASCII"] = "entr\u00e9e"
				for what, id := range bad {
					_, err := s.Get(c.ctx, id)
					c.wantErr(err, store.ErrInvalid, "Get of an ID that is %s", what)
					_, err = s.Put(c.ctx, store.Entry{ID: id, Due: at(1), Body: []byte("body")})
					c.wantErr(err, store.ErrInvalid, "insert with an ID that is %s", what)
					_, err = s.Put(c.ctx, store.Entry{ID: id, Version: e.Version, Due: at(1), Body: []byte("body")})
					c.wantErr(err, store.ErrInvalid, "Put with an ID that is %s", what)
					c.wantErr(s.Delete(c.ctx, id, e.Version), store.ErrInvalid, "Delete of an ID that is %s", what)
				}
				for _, got := range c.list(s) {
					c.wantEntry(got, e, "List after calls with invalid IDs")
				}
			},
		},
	}
}

// wantApart stores an entry under each ID, and reports a failure if one of them is
// treated as another.
func (c *checker) wantApart(s store.Store, ids ...string) {
	c.t.to.Helper()
	entries := make(map[string]store.Entry)
	for i, id := range ids {
		entries[id] = c.insert(s, id, "body of "+id, at(i))
	}
	for _, id := range ids {
		c.wantStored(s, entries[id], "among %d entries with like IDs", len(ids))
	}
	listed := byID(c.list(s))
	for _, id := range ids {
		c.wantEntry(listed[id], entries[id], "List of entries with like IDs")
	}
	c.wantClaimed(c.drain(s, at(len(ids)), at(9999), 10, len(ids)), "of entries with like IDs", ids...)

	// Every second entry is deleted; the others must stay.
	for i, id := range ids {
		if i%2 == 0 {
			c.delete(s, c.get(s, id))
		}
	}
	for i, id := range ids {
		if i%2 == 0 {
			c.wantAbsent(s, id, "after its Delete")
		} else if got := c.get(s, id); string(got.Body) != "body of "+id {
			c.errorf("Get of %s after others were deleted: got body %s, want its own", id, bodyText(got.Body))
		}
	}
}
