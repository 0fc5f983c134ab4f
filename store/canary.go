package store

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// The canary is an entry that a sealed store keeps to recognize its keys. The
// canary stops a process with another IDKey, or with another key of the same
// name. The check values of the canary can be computed only with the keys, and
// do not reveal them.
//
//	1 | check of IDKey (16) | for each key: len(name) (1), name, check (16)
//
// A sealed ID has no dot, so no entry has the ID of the canary.
const (
	canaryID     = "sealed.canary"
	canaryFormat = 1
	canaryText   = "latchkey canary 1" // not an ID, because of the blanks
	checkSize    = 16

	// sampled is the number of entries that Seal reads to detect a store that
	// is not sealed.
	sampled = 100
)

// canary is the decoded body of the canary.
type canary struct {
	id   []byte
	keys map[string][]byte
}

// check returns the check value of a key.
func (s *seals) check(name string) []byte {
	check, err := hkdf.Expand(sha256.New, s.keys[name], canaryText, checkSize)
	if err != nil {
		panic("store: HKDF refused a key of 32 bytes: " + err.Error())
	}
	return check
}

// verify returns ErrKey if a key differs from the one that the canary has under
// its name. verify reports whether the canary has all keys.
func (s *seals) verify(c canary) (all bool, err error) {
	if !hmac.Equal(c.id, s.mac(canaryText)[:checkSize]) {
		return false, fmt.Errorf("%w: the store was sealed with another IDKey", ErrKey)
	}
	all = true
	for _, name := range slices.Sorted(maps.Keys(s.keys)) {
		known, ok := c.keys[name]
		if ok && !hmac.Equal(known, s.check(name)) {
			return false, fmt.Errorf("%w: the store was sealed with another key of the name %q: give each key its own name", ErrKey, name)
		}
		all = all && ok
	}
	return all, nil
}

func (c canary) encode() []byte {
	b := append([]byte{canaryFormat}, c.id...)
	for _, name := range slices.Sorted(maps.Keys(c.keys)) {
		b = append(b, byte(len(name)))
		b = append(b, name...)
		b = append(b, c.keys[name]...)
	}
	return b
}

func decodeCanary(b []byte) (canary, error) {
	damaged := fmt.Errorf("%w: the entry %s, which has the check values of a sealed store's keys, is damaged: restore it from a backup", ErrCorrupt, canaryID)
	if len(b) < 1+checkSize || b[0] != canaryFormat {
		return canary{}, damaged
	}
	c := canary{id: b[1 : 1+checkSize], keys: make(map[string][]byte)}
	for b = b[1+checkSize:]; len(b) > 0; {
		n := 1 + int(b[0])
		if len(b) < n+checkSize {
			return canary{}, damaged
		}
		c.keys[string(b[1:n])] = bytes.Clone(b[n : n+checkSize])
		b = b[n+checkSize:]
	}
	return c, nil
}

// checkCanary compares the keys with the canary, and adds new keys to it.
// checkCanary writes a canary into an empty store.
func (s *Sealed) checkCanary(ctx context.Context) error {
	for {
		e, err := s.inner.Get(ctx, canaryID)
		var c canary
		switch {
		case errors.Is(err, ErrNotFound):
			e = Entry{ID: canaryID}
			c = canary{id: s.seals.mac(canaryText)[:checkSize], keys: make(map[string][]byte)}
		case err != nil:
			return err
		default:
			if c, err = decodeCanary(e.Body); err != nil {
				return err
			}
		}
		all, err := s.seals.verify(c)
		if err != nil {
			return err
		}
		if err := s.checkSealed(ctx, e.Version == 0); err != nil || all {
			return err
		}
		for name := range s.seals.keys {
			c.keys[name] = s.seals.check(name)
		}
		e.Body = c.encode()
		_, err = s.inner.Put(ctx, e)
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrExists) {
			return err
		}
		// Another process has written the canary, or a driver has sent the Put
		// twice.
	}
}

// checkSealed refuses a store whose first entries are not all sealed. Without a
// canary, checkSealed refuses a store that has any entry.
func (s *Sealed) checkSealed(ctx context.Context, noCanary bool) error {
	n := 0
	for e, err := range s.inner.List(ctx) {
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt):
			return err
		case err == nil && e.ID == canaryID:
			continue
		case noCanary:
			// Another process may have written the canary and the entry meanwhile.
			if _, err := s.inner.Get(ctx, canaryID); err == nil {
				return nil
			}
			return fmt.Errorf("%w: the store has entries and is not sealed: copy them to an empty sealed store with store.Copy", ErrInvalid)
		case err == nil:
			if _, _, ok := cutHeader(e.Body); !ok {
				return fmt.Errorf("%w: the store has entries that are not sealed, such as %s: stop the processes that write them, and copy the entries to an empty sealed store with store.Copy", ErrInvalid, ShortID(e.ID))
			}
		}
		if n++; n == sampled {
			break
		}
	}
	return nil
}
