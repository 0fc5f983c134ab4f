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

// Options say how a file is opened. The zero value is good.
type Options struct {
	// Mode is what a new file's permissions are set to, whatever the umask. A
	// file that is there keeps its own. Defaults to 0600.
	Mode os.FileMode

	// LockTimeout is how long Open waits for another process to let go of the
	// file. Defaults to 1 s.
	LockTimeout time.Duration

	// NoSyncForTests leaves out the syncs to the disk. What was acknowledged
	// then survives the process but not the machine, whose loss may also leave
	// a file that can't be opened. For tests only. Defaults to false.
	NoSyncForTests bool
}

const (
	defaultMode        = 0o600
	defaultLockTimeout = time.Second
	lockPoll           = 20 * time.Millisecond
)

// Open opens the file at path, and makes it where there is none; its directory
// must be there. A relative path is taken from the working directory of this
// moment. The caller closes the store.
//
// A file that is in use is [ErrLocked] when it stays so for
// Options.LockTimeout; ctx may end the wait sooner. One that is damaged, cut
// short, empty or not Latchkey's is [store.ErrCorrupt], and one of a newer
// release [ErrFormat]; neither is changed. Bad options are [store.ErrInvalid].
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
		return nil, fmt.Errorf("%w: no path", store.ErrInvalid)
	case o.Mode&^os.ModePerm != 0 || o.Mode&0o600 != 0o600:
		return nil, fmt.Errorf("%w: file mode %v: the owner must be able to read and write, and nothing but permissions can be set", store.ErrInvalid, o.Mode)
	case o.LockTimeout < 0:
		return nil, fmt.Errorf("%w: a lock timeout below zero", store.ErrInvalid)
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

// tryOpen returns bbolt's ErrTimeout where the file is locked.
func tryOpen(ctx context.Context, path string, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Store{path: path, idle: make(chan struct{})}
	options := &bbolt.Options{
		Timeout:      1, // tries once: bbolt's own wait knows no context
		FreelistType: bbolt.FreelistMapType,
		NoSync:       o.NoSyncForTests,
		NoStatistics: true,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			// A file that vanishes meanwhile must not come back half made.
			f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
			if err != nil {
				return nil, err
			}
			// bbolt reads the list of free pages as soon as it has the lock,
			// and believes what it says of its own length.
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

// confirm looks at a file under its lock that was found damaged without it:
// what was seen may have been another process's write, half done.
func confirm(path string, found error) error {
	var file *os.File
	err, _ := guard(path, func() error {
		db, err := bbolt.Open(path, 0, &bbolt.Options{
			ReadOnly: true, // doesn't look at the list of free pages
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
		return berrors.ErrTimeout // it is sound, or somebody's: try again
	}
	return found
}

// opened gives what bbolt says of a file that isn't its own our sentinel.
func opened(path string, err error) error {
	for _, bad := range []error{berrors.ErrInvalid, berrors.ErrVersionMismatch, berrors.ErrChecksum} {
		if errors.Is(err, bad) {
			return corrupt(path, "%v", err)
		}
	}
	return err
}

// verify checks, under the lock, what bbolt takes for granted, and that the
// file is ours and of a format that this release knows.
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
			return corrupt(s.path, "a bbolt file that isn't Latchkey's")
		}
		v := meta.Get(formatKey)
		is, err := strconv.Atoi(string(v))
		switch {
		case err != nil || is < 1:
			return corrupt(s.path, "it doesn't say its format")
		case is > format:
			return fmt.Errorf("%w: %s has format %d, and this release knows formats up to %d: use the release that wrote it, or a later one", ErrFormat, s.path, is, format)
		}
		_, err = newTxn(s.path, tx)
		return err
	})
}

// create makes an empty store at path, whole or not at all: a file that a
// crash left empty could not be told from one that lost its content. It is no
// error if another process is quicker.
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
			if err := tx.Bucket(dueBucket).SetSequence(1); err != nil { // no entries, see Count
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

// publish makes a file at path that fill has filled: first under another name
// beside it, and under its own once all of it is on the disk. Where there is a
// file of that name already it is left alone, and the error is fs.ErrExist.
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
	// Unlike a rename, a link never takes the place of another file.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory survive the loss of the machine.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it can't sync a directory, and doesn't need to
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
