package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/latchkey-go/latchkey/store"
	_ "github.com/latchkey-go/latchkey/store/redis"
)

// A server in this process replaces Redis.
func Example() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	s, err := store.Open(ctx, "redis://"+server.Addr()+"?prefix=billing:&shards=8")
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	now := time.Now()
	version, err := s.Put(ctx, store.Entry{ID: "invoice-7", Due: now, Body: []byte("remind the customer")})
	if err != nil {
		log.Fatal(err)
	}

	// Only one process gets the entry, for a minute.
	claimed, err := s.Claim(ctx, now, now.Add(time.Minute), 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range claimed {
		fmt.Printf("%s: %s\n", e.ID, e.Body)
	}

	// A process with the old version gets ErrConflict.
	_, err = s.Put(ctx, store.Entry{ID: "invoice-7", Version: version})
	fmt.Println(errors.Is(err, store.ErrConflict))
	// Output:
	// invoice-7: remind the customer
	// true
}
