package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// sealing returns options with keys of these names; the first key is active.
func sealing(names ...string) SealOptions {
	o := SealOptions{IDKey: key(9), Keys: make(map[string][]byte), Active: names[0]}
	for _, name := range names {
		o.Keys[name] = key(name[len(name)-1])
	}
	return o
}

func mustSeal(t *testing.T, s Store, o SealOptions) *Sealed {
	t.Helper()
	sealed, err := Seal(t.Context(), s, o)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return sealed
}

func mustPut(t *testing.T, s Store, e Entry) Entry {
	t.Helper()
	version, err := s.Put(t.Context(), e)
	if err != nil {
		t.Fatalf("Put of %s: %v", e.ID, err)
	}
	e.Version = version
	return e
}

// timed is an ID in the form of package async, and keyed is one without a time.
const (
	timed = "000C5F8QK3abcdefghijklmnopqrst-_"
	keyed = "abcdefghijklmnopqrst-_"
)

// TestSealGolden opens entries that earlier releases have sealed, and seals
// them again to the same bytes. testdata/sealed-v1.txt has one entry per line:
// ID, sealed ID, body and sealed body. All except the IDs are in hexadecimal.
func TestSealGolden(t *testing.T) {
	keys, err := newSeals(sealing("key-1"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("testdata/sealed-v1.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		body, err := hex.DecodeString(strings.Trim(fields[2], "-"))
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := hex.DecodeString(fields[3])
		if err != nil {
			t.Fatal(err)
		}
		if got := keys.id(fields[0]); got != fields[1] {
			t.Errorf("the sealed ID of %s: got %s, want %s", fields[0], got, fields[1])
		}
		id, opened, err := keys.open(fields[1], sealed)
		if err != nil || id != fields[0] || !bytes.Equal(opened, body) {
			t.Errorf("opening %s: got %q, %x, %v, want what was sealed", fields[0], id, opened, err)
		}
		nonce := [nonceSize]byte(sealed[2+len("key-1"):])
		if again := keys.sealWith(nonce, fields[1], fields[0], body); !bytes.Equal(again, sealed) {
			t.Errorf("sealing %s with the same nonce: got %x, want %x", fields[0], again, sealed)
		}
		n++
	}
	if n < 3 {
		t.Errorf("the golden file has %d entries, want 3 at least", n)
	}
	canary, err := hex.DecodeString(strings.TrimSpace(goldenCanary))
	if err != nil {
		t.Fatal(err)
	}
	c, err := decodeCanary(canary)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := keys.verify(c); !all || err != nil {
		t.Errorf("the canary of an earlier release: got %t, %v, want it to know the key", all, err)
	}
}

// goldenCanary is the canary that the first release wrote for sealing("key-1").
const goldenCanary = "013703e4d36bd60cdc316453ffe8e856a9056b65792d31ca1b696485ea4d65b6bf6a02b20aebab"

// FuzzOpenSealed opens arbitrary bytes. Bytes that cannot be opened are
// ErrCorrupt or ErrKey, and errors contain nothing of the body.
func FuzzOpenSealed(f *testing.F) {
	keys, err := newSeals(sealing("key-1"))
	if err != nil {
		f.Fatal(err)
	}
	id := keys.id(timed)
	valid := keys.sealWith([nonceSize]byte{1}, id, timed, []byte("the body"))
	f.Add(id, valid)
	f.Add(id, valid[:len(valid)-1])
	f.Add(keyed, valid)
	f.Add(id, []byte{})
	f.Add(id, []byte{1, 5})
	f.Add(id, append([]byte{1, 64}, bytes.Repeat([]byte("k"), 100)...))
	f.Fuzz(func(t *testing.T, sealedID string, sealed []byte) {
		before := bytes.Clone(sealed)
		own, body, err := keys.open(sealedID, sealed)
		if !bytes.Equal(before, sealed) {
			t.Fatal("opening has changed what is sealed")
		}
		if err == nil {
			if sealedID != id || !bytes.Equal(sealed, valid) || own != timed || string(body) != "the body" {
				t.Fatalf("opened %x under %q, which was never sealed", sealed, sealedID)
			}
			return
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrKey) {
			t.Fatalf("got %v, want ErrCorrupt or ErrKey", err)
		}
	})
}

func TestSealOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(o *SealOptions){
		"no IDKey":            func(o *SealOptions) { o.IDKey = nil },
		"a short IDKey":       func(o *SealOptions) { o.IDKey = o.IDKey[:31] },
		"no keys":             func(o *SealOptions) { o.Keys = nil },
		"a short key":         func(o *SealOptions) { o.Keys["key-1"] = []byte("secret") },
		"a long name":         func(o *SealOptions) { o.Keys[strings.Repeat("n", 65)] = key(3) },
		"a name with a blank": func(o *SealOptions) { o.Keys["a key"] = key(3) },
		"an unknown Active":   func(o *SealOptions) { o.Active = "key-2" },
		"no Active":           func(o *SealOptions) { o.Active = "" },
	} {
		o := sealing("key-1")
		change(&o)
		s, err := Seal(t.Context(), NewMemory(), o)
		if s != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, %v, want ErrInvalid", name, s, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error %q repeats the key", name, err)
		}
	}
	if _, err := Seal(t.Context(), nil, sealing("key-1")); !errors.Is(err, ErrInvalid) {
		t.Errorf("no store: got %v, want ErrInvalid", err)
	}
}

// TestSealRefuses: Seal refuses keys that differ from those of the store, and a
// store with unsealed entries.
func TestSealRefuses(t *testing.T) {
	refused := func(name string, s Store, o SealOptions, want error) {
		t.Helper()
		sealed, err := Seal(t.Context(), s, o)
		if sealed != nil || !errors.Is(err, want) {
			t.Errorf("%s: got %v, %v, want %v", name, sealed, err, want)
		}
	}
	s := NewMemory()
	mustPut(t, mustSeal(t, s, sealing("key-1")), Entry{ID: timed})
	other := sealing("key-1")
	other.IDKey = key(8)
	refused("another IDKey", s, other, ErrKey)
	other = sealing("key-1")
	other.Keys["key-1"] = key(8)
	refused("another key of the same name", s, other, ErrKey)
	mustSeal(t, s, sealing("key-2", "key-1"))
	other = sealing("key-1", "key-2")
	other.Keys["key-2"] = key(8)
	refused("another key of a name that came later", s, other, ErrKey)
	mustSeal(t, s, sealing("key-2")) // without the key that was used for sealing

	plain := NewMemory()
	mustPut(t, plain, Entry{ID: keyed})
	refused("a store that isn't sealed", plain, sealing("key-1"), ErrInvalid)
	if _, err := plain.Get(t.Context(), canaryID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a store that was refused: got %v, want no canary", err)
	}
	mustPut(t, s, Entry{ID: keyed})
	refused("a sealed store with an entry that isn't", s, sealing("key-1"), ErrInvalid)

	damaged := NewMemory()
	mustSeal(t, damaged, sealing("key-1"))
	e, err := damaged.Get(t.Context(), canaryID)
	if err != nil {
		t.Fatal(err)
	}
	e.Body = e.Body[:20]
	mustPut(t, damaged, e)
	refused("a damaged canary", damaged, sealing("key-1"), ErrCorrupt)
}

// Several processes may seal an empty store for the first time at once, and
// write at once.
func TestSealAtOnce(t *testing.T) {
	for range 30 {
		s := NewMemory()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				o := sealing("key-1", "key-2")
				o.Active = fmt.Sprint("key-", 1+i%2)
				sealed, err := Seal(t.Context(), s, o)
				if err == nil {
					_, err = sealed.Put(t.Context(), Entry{ID: fmt.Sprint("entry-", i)})
				}
				if err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			})
		}
		wg.Wait()
	}
}

// An entry that a process cannot open is neither gone nor damaged, and does not
// prevent claims of other entries.
func TestUnknownKey(t *testing.T) {
	s := NewMemory()
	both := mustSeal(t, s, sealing("key-2", "key-1"))
	one := mustSeal(t, s, sealing("key-1"))
	due := time.UnixMilli(1000).UTC()
	sealed := mustPut(t, both, Entry{ID: "new", Due: due})
	mustPut(t, one, Entry{ID: "old-1", Due: due.Add(time.Millisecond)})
	mustPut(t, one, Entry{ID: "old-2", Due: due.Add(2 * time.Millisecond)})

	wantKey := func(doing string, err error) {
		t.Helper()
		if !errors.Is(err, ErrKey) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, want ErrKey alone", doing, err)
		}
		if err != nil && !strings.Contains(err.Error(), "key-2") {
			t.Errorf("%s: got %q, want the key named", doing, err)
		}
	}
	_, err := one.Get(t.Context(), "new")
	wantKey("Get", err)
	_, err = one.Put(t.Context(), Entry{ID: "new"})
	if !errors.Is(err, ErrExists) {
		t.Errorf("insert over an entry with an unknown key: got %v, want ErrExists", err)
	}
	var ids []string
	var failed error
	for e, err := range one.List(t.Context()) {
		if err != nil {
			failed = err
		} else {
			ids = append(ids, e.ID)
		}
	}
	wantKey("List", failed)
	if len(ids) != 2 {
		t.Errorf("List: got %q, want the others", ids)
	}
	until := due.Add(time.Minute)
	for range 2 {
		got, err := one.Claim(t.Context(), due.Add(time.Second), until, 1)
		if err != nil || len(got) != 1 || got[0].ID == "new" {
			t.Errorf("Claim: got %v, %v, want one of the others", got, err)
		}
	}
	got, err := one.Claim(t.Context(), due.Add(time.Second), until, 10)
	if err != nil || len(got) != 0 {
		t.Errorf("Claim of what is left: got %v, %v, want nothing: the entry with the unknown key was put off", got, err)
	}
	got, err = one.Claim(t.Context(), until, until.Add(time.Minute), 1)
	for err == nil && len(got) > 0 {
		got, err = one.Claim(t.Context(), until, until.Add(time.Minute), 1)
	}
	if got, err := both.Claim(t.Context(), until.Add(time.Minute), until.Add(time.Hour), 10); err != nil || len(got) != 3 {
		t.Errorf("Claim by a process with both keys: got %v, %v, want all 3: nothing is lost", got, err)
	}
	if err := one.Delete(t.Context(), "new", sealed.Version); !errors.Is(err, ErrConflict) {
		t.Errorf("Delete at the version before the claims: got %v, want ErrConflict", err)
	}
}

// A body that was sealed for one ID cannot be opened under another, and a
// changed body cannot be opened at all.
func TestSealedEntriesCannotBeMoved(t *testing.T) {
	s := NewMemory()
	sealed := mustSeal(t, s, sealing("key-1"))
	mustPut(t, sealed, Entry{ID: "one", Body: []byte("approve")})
	mustPut(t, sealed, Entry{ID: "two", Body: []byte("refuse")})
	one, err := s.Get(t.Context(), sealed.seals.id("one"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Get(t.Context(), sealed.seals.id("two"))
	if err != nil {
		t.Fatal(err)
	}
	two.Body = one.Body
	two = mustPut(t, s, two)
	if _, err := sealed.Get(t.Context(), "two"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Get of an entry with another's body: got %v, want ErrCorrupt", err)
	}
	for i := range one.Body {
		changed := one
		changed.Body = bytes.Clone(one.Body)
		changed.Body[i] ^= 1
		one.Version = mustPut(t, s, changed).Version
		if _, err := sealed.Get(t.Context(), "one"); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrKey) {
			t.Fatalf("Get of an entry of which byte %d was changed: got %v, want ErrCorrupt or ErrKey", i, err)
		}
	}
}

// A dump shows no ID and no body.
func TestSealedShowsNothing(t *testing.T) {
	s := NewMemory()
	sealed := mustSeal(t, s, sealing("key-1"))
	const secret = "PLANTED-SECRET"
	for _, id := range []string{secret, timed, keyed} {
		mustPut(t, sealed, Entry{ID: id, Body: []byte("body " + secret)})
	}
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, planted := range []string{secret, timed, timed[timeLen:], keyed} {
			if strings.Contains(e.ID, planted) || bytes.Contains(e.Body, []byte(planted)) {
				t.Errorf("the inner store shows %q", planted)
			}
		}
	}
	if id := sealed.seals.id(timed); !strings.HasPrefix(id, timed[:timeLen]) || len(id) != timedLen {
		t.Errorf("the sealed ID of one with a time: got %s, want its time in front", id)
	}
}

// The sealed store supports only the optional interfaces that the inner store
// supports.
func TestSealedOverABareStore(t *testing.T) {
	type bare struct{ Store }
	s := mustSeal(t, bare{NewMemory()}, sealing("key-1"))
	_, page := s.Page(t.Context(), "", 1)
	_, count := s.Count(t.Context())
	_, watch := s.Watch(t.Context())
	for name, err := range map[string]error{"Page": page, "Count": count, "Watch": watch} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v, want errors.ErrUnsupported", name, err)
		}
	}
}

// untouched is a store whose methods panic.
type untouched struct{ Store }

// TestOver: Over opens and seals with the same keys, and calls the store only
// when a method is called.
func TestOver(t *testing.T) {
	inner := NewMemory()
	s := mustSeal(t, inner, sealing("key-1"))
	_ = s.Over(untouched{}) // any call would panic
	over := s.Over(inner)
	e := mustPut(t, over, Entry{ID: timed, Due: time.UnixMilli(1_900_000_000_000), Body: []byte("over")})
	for name, s := range map[string]Store{"the sealed store": s, "Over": over} {
		if got, err := s.Get(t.Context(), timed); err != nil || got.Version != e.Version || string(got.Body) != "over" {
			t.Errorf("Get through %s: got version %d, body %q and %v, want what Over wrote", name, got.Version, got.Body, err)
		}
	}
	if got, err := inner.Get(t.Context(), timed); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of the own ID in the inner store: got %v and %v, want ErrNotFound: it is sealed", got, err)
	}
	if n, err := over.Count(t.Context()); n != 1 || err != nil {
		t.Errorf("Count through Over: got %d and %v, want 1", n, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Over with nil did not panic")
		}
	}()
	s.Over(nil)
}
