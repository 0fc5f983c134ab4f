package completer_test

import (
	"fmt"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// A completer needs the options with which the client was dialled, because the
// client does not reveal its converters.
func ExampleNew() {
	options := client.Options{HostPort: "temporal.example.com:7233", Namespace: "expenses"}
	c, err := client.NewLazyClient(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	s := store.NewMemory()

	reporter, err := completer.New(completer.Client{Client: c, Options: options})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := async.New(async.Options{Store: s, Completer: reporter})
	fmt.Println(hub != nil, err)

	// Output:
	// true <nil>
}
