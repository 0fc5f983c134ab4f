package bolt

import (
	"context"
	"io"
	"os"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// Backup writes the store as it is at one moment into a new file at path,
// which [Open] takes like any other. The file appears there whole and synced to
// the disk, or not at all, with the permissions of the store's own; one that is
// there already is an error, and left alone.
//
// Other calls may run meanwhile. As long as Backup writes, the store's file may
// grow instead of using pages again, and a write that makes it outgrow its
// mapping waits, with all calls behind it: write to a fast disk, and copy from
// there.
func (s *Store) Backup(ctx context.Context, path string) error {
	return store.Wrap("backup", backend, "", s.backup(ctx, path))
}

func (s *Store) backup(ctx context.Context, path string) error {
	// Nothing is made, not even a file to be removed, by a call that is refused.
	if err := s.ready(ctx); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	return publish(path, info.Mode().Perm(), func(f *os.File) error {
		return s.raw(ctx, func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(contextWriter{ctx, f})
			return err
		})
	})
}

// contextWriter ends a long copy with its context.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
