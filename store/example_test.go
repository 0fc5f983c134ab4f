package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// The scheme of the URL chooses the backend. To register a backend other than
// "memory:", import its package, for example
//
//	import _ "github.com/latchkey-go/latchkey/store/bolt"
func ExampleOpen() {
	ctx := context.Background()
	s, err := store.Open(ctx, "memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	version, err := s.Put(ctx, store.Entry{ID: "order-7", Body: []byte("paid"), Due: time.Now().Add(time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := s.Get(ctx, "order-7")
	fmt.Printf("%s %t %v\n", e.Body, e.Version == version, err)

	_, err = store.Open(ctx, "mysql://localhost/app")
	fmt.Println(err != nil)

	// Output:
	// paid true <nil>
	// true
}

// A sealed store wraps any other store. It encrypts bodies and hides IDs.
func ExampleSeal() {
	ctx := context.Background()
	inner := store.NewMemory()
	sealed, err := store.Seal(ctx, inner, store.SealOptions{
		IDKey:  make([]byte, 32), // in production, use 32 random bytes from a secret manager
		Keys:   map[string][]byte{"2026-11": make([]byte, 32)},
		Active: "2026-11",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sealed.Close()

	if _, err := sealed.Put(ctx, store.Entry{ID: "order-7", Body: []byte("secret")}); err != nil {
		fmt.Println(err)
		return
	}
	e, err := sealed.Get(ctx, "order-7")
	fmt.Printf("%s %v\n", e.Body, err)
	_, err = inner.Get(ctx, "order-7")
	fmt.Println(errors.Is(err, store.ErrNotFound))

	// Output:
	// secret <nil>
	// true
}

// Copy copies the entries of a store that no hub uses to another store.
func ExampleCopy() {
	ctx := context.Background()
	from, to := store.NewMemory(), store.NewMemory()
	for _, id := range []string{"a", "b"} {
		if _, err := from.Put(ctx, store.Entry{ID: id}); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(store.Copy(ctx, to, from))

	// Output:
	// 2 <nil>
}
