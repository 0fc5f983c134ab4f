package async_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

type renamed struct{}

func (*renamed) ResultType() string { return "expenses.Decision" }

type nameless struct{}

func (nameless) ResultType() string { return "" }

type longName struct{}

func (longName) ResultType() string { return strings.Repeat("x", 256) }

type box[T any] struct{ V T }

func TestTypeNames(t *testing.T) {
	const pkg = "github.com/latchkey-go/latchkey/async_test."
	for want, name := range map[string]func() (string, error){
		pkg + "Decision":                 async.TypeName[Decision],
		"expenses.Decision":              async.TypeName[renamed],
		"none":                           async.TypeName[async.None],
		"string":                         async.TypeName[string],
		"[]uint8":                        async.TypeName[[]byte],
		"map[string]interface {}":        async.TypeName[map[string]any],
		"[]*" + pkg + "Decision":         async.TypeName[[]*Decision],
		"[3]map[int]time.Duration":       async.TypeName[[3]map[int]time.Duration],
		pkg + "box[" + pkg + "Decision]": async.TypeName[box[Decision]],
	} {
		if got, err := name(); err != nil || got != want {
			t.Errorf("named %q, %v, want %q", got, err, want)
		}
	}
	if a, _ := async.TypeName[*Decision](); a != pkg+"Decision" {
		t.Errorf("a pointer is named %q, want the name of what it points to: both are encoded alike", a)
	}
	for what, name := range map[string]func() (string, error){
		"empty name":  async.TypeName[nameless],
		"long name":   async.TypeName[longName],
		"map of chan": async.TypeName[map[string]chan int],
		"complex":     async.TypeName[complex128],
	} {
		if got, err := name(); err == nil {
			t.Errorf("%s: named %q, want an error", what, got)
		}
	}
}
