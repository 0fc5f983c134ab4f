package httpstatus

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
)

// TestGuide holds Of to the table in docs/guide.md.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile("../../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]error{
		"ErrNotFound": async.ErrNotFound, "*TypeMismatchError": &async.TypeMismatchError{}, "ErrInvalidResult": async.ErrInvalidResult,
		"ErrInvalidFailure": async.ErrInvalidFailure, "ErrTooLarge": async.ErrTooLarge, "ErrSettled": async.ErrSettled,
		"ErrSuperseded": async.ErrSuperseded, "ErrClosed": async.ErrClosed, "ErrCancelNotRequested": async.ErrCancelNotRequested,
		"any other error": errors.New("the store is away"),
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (.+?) \| .* \| (\d{3}) \|$`).FindAllStringSubmatch(string(page), -1) {
		want, _ := strconv.Atoi(row[2])
		for name := range strings.SplitSeq(row[1], ", ") {
			name = strings.Trim(name, "`")
			err, known := of[name]
			if !known {
				t.Errorf("the guide's table has a row for %q, which this test doesn't know", name)
				continue
			}
			if got := Of(fmt.Errorf("async: complete: %w", err)); got != want {
				t.Errorf("%s: got %d, want %d as in the guide", name, got, want)
			}
			delete(of, name)
		}
	}
	for name := range of {
		t.Errorf("the guide's table has no row for %s", name)
	}
}

// TestClosedForAnotherType: what has ended is gone, whatever the reason.
func TestClosedForAnotherType(t *testing.T) {
	if got := Of(fmt.Errorf("%w: %w", async.ErrClosed, async.ErrTypeMismatch)); got != 410 {
		t.Errorf("got %d, want 410", got)
	}
}
