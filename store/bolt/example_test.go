package bolt_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/bolt"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "latchkey")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "latchkey.db")
	ctx := context.Background()

	s, err := bolt.Open(ctx, path, bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	// After Put has returned nil, the entry survives the loss of the process
	// and of the machine's power.
	if _, err := s.Put(ctx, store.Entry{ID: "approval-1", Due: time.Now(), Body: []byte("waits")}); err != nil {
		log.Fatal(err)
	}
	if err := s.Close(); err != nil {
		log.Fatal(err)
	}

	// This code may run in another process, on another day.
	s, err = bolt.Open(ctx, path, bolt.Options{LockTimeout: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	due, err := s.Claim(ctx, now, now.Add(10*time.Second), 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range due {
		fmt.Printf("%s %s\n", e.ID, e.Body)
	}
	// Output: approval-1 waits
}

// To open a store by URL, it is enough to import the package.
func ExampleOpen_url() {
	dir, err := os.MkdirTemp("", "latchkey")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	s, err := store.Open(context.Background(), "bolt://"+filepath.ToSlash(dir)+"/latchkey.db?lock_timeout=5s&mode=0640")
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	_, err = s.Get(context.Background(), "approval-1")
	fmt.Println(err)
	// Output: store: bolt get approval-1: not found
}
