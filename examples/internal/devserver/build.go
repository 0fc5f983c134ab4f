package devserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

const (
	module  = "github.com/latchkey-go/latchkey/examples"
	command = "internal/devserver/cmd/temporal-devserver" // below the module
)

// Only the latest programs and recently used ones are kept, because each is
// over 100 MB.
const (
	keepLatest = 2
	keepFor    = time.Hour
)

// build returns the path of the server's program. Programs are stored under the
// hash of all their inputs. One process builds, and others that need the same
// program wait for it.
func build(ctx context.Context, log io.Writer) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	key, err := sourceHash(root)
	if err != nil {
		return "", err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(caches, "latchkey", "temporal-devserver")
	dir := filepath.Join(cache, key)
	program := filepath.Join(dir, "temporal-devserver"+exeSuffix())
	if used(program) {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(program) { // another process has built the program
		return program, nil
	}
	fresh := filepath.Join(dir, fmt.Sprintf("fresh-%d", os.Getpid()))
	if err := compile(ctx, root, "./"+command, fresh, log); err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, program); err != nil {
		return "", err
	}
	if err := sweep(cache); err != nil {
		_, _ = fmt.Fprintln(log, "devserver: old programs stay:", err)
	}
	return program, nil
}

// moduleRoot finds the root directory of the module. "go test" and "go run" use
// a working directory inside the module.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module "+module+"\n")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("the working directory must be in the source of %s, from which the server is built; change to it, install the temporal command, or set TEMPORAL_ADDRESS to the address of a server", module)
		}
		dir = parent
	}
}

// sourceHash identifies the program by its source, the versions of its
// dependencies, the compiler and the platform.
func sourceHash(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(command), "*.go"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH) // a hash never fails
	for _, file := range append(files, filepath.Join(root, "go.mod"), filepath.Join(root, "go.sum")) {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", filepath.Base(file), len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// used reports whether the program exists, and records that it is used.
func used(program string) bool {
	now := time.Now()
	return os.Chtimes(program, now, now) == nil
}

// sweep removes the programs that are neither among the latest nor recently
// used.
func sweep(cache string) error {
	programs, err := filepath.Glob(filepath.Join(cache, "*", "temporal-devserver"+exeSuffix()))
	if err != nil {
		return err
	}
	lastUse := make(map[string]time.Time)
	for _, program := range programs {
		if info, err := os.Stat(program); err == nil {
			lastUse[program] = info.ModTime()
		} else if !errors.Is(err, os.ErrNotExist) { // another process may remove programs too
			return err
		}
	}
	latest := slices.SortedFunc(maps.Keys(lastUse), func(a, b string) int { return lastUse[b].Compare(lastUse[a]) })
	for _, program := range latest[min(keepLatest, len(latest)):] {
		if time.Since(lastUse[program]) > keepFor {
			if err := os.RemoveAll(filepath.Dir(program)); err != nil {
				return err
			}
		}
	}
	return nil
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
