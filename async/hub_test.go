package async_test

import (
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

func TestNewSaysWhatIsWrong(t *testing.T) {
	var typedNil *faulty
	for says, o := range map[string]async.Options{
		"Store is required":         {},
		"Options.Store is required": {Store: typedNil},
		"BlobLimit must be between 1 KiB and 3.5 MiB, got 100 bytes": {Store: store.NewMemory(), BlobLimit: 100},
		"got 4194304 bytes":                       {Store: store.NewMemory(), BlobLimit: 4 << 20},
		"Retention must not be negative, got -1s": {Store: store.NewMemory(), Retention: -time.Second},
		"ClaimTime must be at least 2s, got 1s":   {Store: store.NewMemory(), ClaimTime: time.Second},
		"Completer is a nil pointer":              {Store: store.NewMemory(), Completer: (*asynctest.Completer)(nil)},
	} {
		h, err := async.New(o)
		if err == nil || h != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, %v, want no hub and an error that says %q", h, err, says)
		}
	}
}

func lazy(t *testing.T, o client.Options) client.Client {
	t.Helper()
	o.HostPort = "127.0.0.1:1" // nothing is there
	c, err := client.NewLazyClient(o)
	wantNil(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestCompleterMakesNoCall(t *testing.T) {
	c, err := completer.New(completer.Client{Client: lazy(t, client.Options{})})
	wantNil(t, err)
	h, err := async.New(async.Options{Store: store.NewMemory(), Completer: c})
	if err != nil || h == nil {
		t.Fatalf("an application can't start while the server is away: %v", err)
	}
}

func TestNewRefusesOtherConverters(t *testing.T) {
	rot := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), reverse{})
	o := client.Options{DataConverter: rot}
	c, err := completer.New(completer.Client{Client: lazy(t, o), Options: o})
	wantNil(t, err)
	if _, err := async.New(async.Options{Store: store.NewMemory(), Completer: c, DataConverter: rot}); err != nil {
		t.Errorf("the same converter is refused: %v", err)
	}
	_, err = async.New(async.Options{Store: store.NewMemory(), Completer: c, DataConverter: converter.GetDefaultDataConverter()})
	if err == nil || !strings.Contains(err.Error(), "DataConverter is not that") {
		t.Errorf("another converter: %v", err)
	}
}
