package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Copy copies all entries from src to dst, with their bodies and dues, and
// returns how many are there then. Nothing may write to either store meanwhile.
// Use it to begin sealing, to stop sealing, and to change backends.
//
// Copy can be repeated: an entry that dst already has, equal to the one of src,
// counts as copied. It goes on behind entries that it can't read and those that
// dst has with another content, which it leaves alone, and returns the first of
// their errors. Any other error ends it.
func Copy(ctx context.Context, dst, src Store) (int, error) {
	n := 0
	var first error
	for e, err := range src.List(ctx) {
		if err == nil {
			if err = copyEntry(ctx, dst, e); err == nil {
				n++
				continue
			}
		}
		skip := errors.Is(err, ErrCorrupt) || errors.Is(err, ErrKey) || errors.Is(err, ErrExists) || errors.Is(err, ErrInvalid)
		if !skip {
			return n, Wrap("copy", "store", "", err)
		}
		if first == nil {
			first = Wrap("copy", "store", "", err)
		}
	}
	return n, first
}

func copyEntry(ctx context.Context, dst Store, e Entry) error {
	e.Version = 0
	_, err := dst.Put(ctx, e)
	if !errors.Is(err, ErrExists) {
		return err
	}
	// It may have been copied before, or have been listed twice.
	there, err := dst.Get(ctx, e.ID)
	if err != nil {
		return err
	}
	if !there.Due.Equal(e.Due) || !bytes.Equal(there.Body, e.Body) {
		return Wrap("copy", "store", e.ID, fmt.Errorf("%w: with another content, in the store to copy to", ErrExists))
	}
	return nil
}
