package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Copy copies all entries from src to dst, with their bodies and due times, and
// returns the number of entries that it copied or found in dst. During a Copy,
// no other caller may write to either store. Use Copy to begin or to stop
// sealing, and to change backends.
//
// Copy can be repeated: an entry that dst has with the same content counts as
// copied. Copy skips entries that it cannot read, that dst does not accept, or
// that dst has with other content. Copy returns the first of their errors. Any
// other error ends the copy.
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
	// An earlier Copy may have copied the entry, or List may have yielded it
	// twice.
	there, err := dst.Get(ctx, e.ID)
	if err != nil {
		return err
	}
	if !there.Due.Equal(e.Due) || !bytes.Equal(there.Body, e.Body) {
		return Wrap("copy", "store", e.ID, fmt.Errorf("%w: the destination has the entry with other content", ErrExists))
	}
	return nil
}
