package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/latchkey-go/latchkey/web/webhook"
)

// linkKeys returns the key that seals the links in mails. The key is kept in
// the directory, so that links still work after a restart.
func linkKeys(directory string) (*webhook.Keys, error) {
	const size = 32
	path := filepath.Join(directory, "links.key")
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, size)
		_, _ = rand.Read(key) // it never fails
		err = os.WriteFile(path, key, 0o600)
	}
	if err == nil && len(key) != size {
		err = fmt.Errorf("%s must have %d bytes, got %d: remove it to make a new key; links in old mails then lead nowhere", path, size, len(key))
	}
	if err != nil {
		return nil, err
	}
	return &webhook.Keys{Keys: map[string][]byte{"a": key}, Active: "a"}, nil
}
