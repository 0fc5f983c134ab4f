package bolt

import (
	"context"
	"io"
	"os"

	"github.com/latchkey-go/latchkey/store"
	"go.etcd.io/bbolt"
)

// Backup writes the state of the store at one moment into a new file at path, which
// [Open] can open. The file appears complete and synced, or not at all. The
// file has the permissions of the store's own file. If path exists, Backup
// leaves it unchanged and returns an error.
//
// Other calls may run during a Backup. While Backup writes, the store's file
// may grow instead of reusing pages. A write that makes the file outgrow its
// memory map waits for Backup, and so do all calls after it. Therefore back up
// to a fast disk, and copy the backup from that disk.
func (s *Store) Backup(ctx context.Context, path string) error {
	return store.Wrap("backup", backend, "", s.backup(ctx, path))
}

func (s *Store) backup(ctx context.Context, path string) error {
	// A refused call creates no file.
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

// contextWriter returns an error when its context has ended.
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
