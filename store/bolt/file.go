package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/bolt/internal/pages"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Options configures a [Store]. The zero value is valid.
type Options struct {
	// Mode is the permissions of a new file, regardless of the umask. An
	// existing file keeps its permissions. Defaults to 0600.
	Mode os.FileMode

	// LockTimeout is how long Open waits for another process to close the file.
	// Defaults to 1 s.
	LockTimeout time.Duration

	// NoSyncForTests leaves out the syncs to the disk. Acknowledged writes then
	// survive the process, but not a loss of power, which may also leave a file
	// that Open refuses. For tests only. Defaults to false.
	NoSyncForTests bool
}

const (
	defaultMode        = 0o600
	defaultLockTimeout = time.Second
	lockPoll           = 20 * time.Millisecond
)

// Open opens the file at path, and creates it if it does not exist. The
// directory of the file must exist. A relative path is relative to the current
// working directory. The caller must close the store.
//
// Open returns [ErrLocked] if the file is in use during all of
// Options.LockTimeout; ctx may end the wait sooner. Open returns
// [store.ErrCorrupt] for a file that is damaged, truncated, empty or not
// Latchkey's. Open returns [ErrFormat] for a file of a newer release. Open does
// not change such a file. Open returns [store.ErrInvalid] for invalid options.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s, err := openPath(ctx, path, o)
	return s, store.Wrap("open", backend, "", err)
}

func openPath(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Mode == 0 {
		o.Mode = defaultMode
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	switch {
	case path == "":
		return nil, fmt.Errorf("%w: Open needs a path, got none", store.ErrInvalid)
	case o.Mode&^os.ModePerm != 0 || o.Mode&0o600 != 0o600:
		return nil, fmt.Errorf("%w: Options.Mode must let the owner read and write, and have permissions only, got %v", store.ErrInvalid, o.Mode)
	case o.LockTimeout < 0:
		return nil, fmt.Errorf("%w: Options.LockTimeout must not be negative", store.ErrInvalid)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path, o.Mode); err != nil {
			return nil, fmt.Errorf("creating %s: %w", path, err)
		}
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is not a regular file", store.ErrInvalid, path)
	}

	giveUp := time.NewTimer(o.LockTimeout)
	defer giveUp.Stop()
	for {
		s, err := tryOpen(ctx, path, o)
		if !errors.Is(err, berrors.ErrTimeout) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-giveUp.C:
			return nil, fmt.Errorf("%w: %s, for %v", ErrLocked, path, o.LockTimeout)
		case <-time.After(lockPoll):
		}
	}
}

// tryOpen tries once to open the file. tryOpen returns bbolt's ErrTimeout if
// the file is locked.
func tryOpen(ctx context.Context, path string, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Store{path: path, idle: make(chan struct{})}
	options := &bbolt.Options{
		Timeout:      1, // tries once, because bbolt's own wait does not use a context
		FreelistType: bbolt.FreelistMapType,
		NoSync:       o.NoSyncForTests,
		NoStatistics: true,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			// If the file vanishes meanwhile, it must not be created again
			// empty.
			f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
			if err != nil {
				return nil, err
			}
			// bbolt reads the list of free pages as soon as it has the lock,
			// and trusts the length in the list.
			if _, err := pages.Inspect(f); err != nil {
				_ = f.Close()
				return nil, err
			}
			s.file = f
			return f, nil
		},
	}
	err, escaped := guard(path, func() (err error) {
		s.db, err = bbolt.Open(path, o.Mode, options)
		return err
	})
	switch {
	case err == nil:
	case escaped:
		_ = s.file.Close()
		return nil, err
	case errors.Is(err, store.ErrCorrupt):
		return nil, confirm(path, err)
	default:
		return nil, opened(path, err)
	}
	s.update = s.db.Update
	err, _ = guard(path, func() error { return s.verify(ctx) })
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// confirm checks again, under the lock, a file that was found damaged without
// the lock. The damage may have been an unfinished write of another process.
func confirm(path string, found error) error {
	var file *os.File
	err, _ := guard(path, func() error {
		db, err := bbolt.Open(path, 0, &bbolt.Options{
			ReadOnly: true, // does not read the list of free pages
			Timeout:  1,
			OpenFile: func(path string, flag int, mode os.FileMode) (f *os.File, err error) {
				file, err = os.OpenFile(path, flag&^os.O_CREATE, mode)
				return file, err
			},
		})
		if err != nil {
			return err
		}
		_, err = pages.Inspect(file)
		return errors.Join(err, db.Close())
	})
	if err == nil || errors.Is(err, berrors.ErrTimeout) {
		return berrors.ErrTimeout // the file is undamaged, or another process has it: try again
	}
	return found
}

// opened replaces bbolt's error for a file that is not a bbolt file.
func opened(path string, err error) error {
	for _, bad := range []error{berrors.ErrInvalid, berrors.ErrVersionMismatch, berrors.ErrChecksum} {
		if errors.Is(err, bad) {
			return corrupt(path, "%v", err)
		}
	}
	return err
}

// verify checks under the lock what bbolt assumes, and that the file is
// Latchkey's and has a known format.
func (s *Store) verify(ctx context.Context) error {
	layout, err := pages.Inspect(s.file)
	if err != nil {
		return err
	}
	if err := layout.CheckTrees(false); err != nil {
		return err
	}
	return s.raw(ctx, func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return corrupt(s.path, "a bbolt file that is not Latchkey's")
		}
		v := meta.Get(formatKey)
		is, err := strconv.Atoi(string(v))
		switch {
		case err != nil || is < 1:
			return corrupt(s.path, "it has no format number")
		case is > format:
			return fmt.Errorf("%w: %s has format %d, and this release knows formats up to %d: use the release that wrote it, or a later one", ErrFormat, s.path, is, format)
		}
		_, err = newTxn(s.path, tx)
		return err
	})
}

// create creates an empty store at path, completely or not at all. After a
// crash, an empty file would look like a file that has lost its content. create
// returns nil if another process has created the file meanwhile.
func create(path string, mode os.FileMode) error {
	err := publish(path, mode, func(f *os.File) error {
		db, err := bbolt.Open(f.Name(), defaultMode, &bbolt.Options{Timeout: defaultLockTimeout})
		if err != nil {
			return err
		}
		return errors.Join(db.Update(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{entryBucket, dueBucket} {
				if _, err := tx.CreateBucket(name); err != nil {
					return err
				}
			}
			if err := tx.Bucket(dueBucket).SetSequence(1); err != nil { // means no entries, see Count
				return err
			}
			meta, err := tx.CreateBucket(metaBucket)
			if err != nil {
				return err
			}
			return meta.Put(formatKey, []byte(strconv.Itoa(format)))
		}), db.Close())
	})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// publish creates a file at path with the content from fill. publish writes the
// file under another name in the same directory, syncs it, and then links it to
// path. If path exists, publish leaves it unchanged and returns fs.ErrExist.
func publish(path string, mode os.FileMode, fill func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	err = fill(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces another file.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory survive a loss of power.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // the system cannot sync a directory, and does not need to
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
