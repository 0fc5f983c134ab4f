package webhook

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// TestGuide compares Status with the table of status codes in docs/guide.md.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile("../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]error{
		"ErrNotFound": async.ErrNotFound, "*TypeMismatchError": &async.TypeMismatchError{}, "ErrInvalidResult": async.ErrInvalidResult,
		"ErrInvalidFailure": async.ErrInvalidFailure, "ErrInvalidArgument": async.ErrInvalidArgument, "ErrTooLarge": async.ErrTooLarge, "ErrSettled": async.ErrSettled,
		"ErrSuperseded": async.ErrSuperseded, "ErrClosed": async.ErrClosed, "ErrCancelNotRequested": completer.ErrCancelNotRequested,
		"any other error": errors.New("the store is away"),
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (.+?) \| .* \| (\d{3}) \|$`).FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			name = strings.Trim(name, "`")
			if got, _ := Status(fmt.Errorf("async: complete: %w", of[name])); strconv.Itoa(got) != row[2] || of[name] == nil {
				t.Errorf("%s: got %d, want %s as in the guide", name, got, row[2])
			}
			delete(of, name)
		}
	}
	for name := range of {
		t.Errorf("the guide's table has no row for %s", name)
	}
	if got, _ := Status(fmt.Errorf("%w: %w", async.ErrClosed, async.ErrTypeMismatch)); got != 410 {
		t.Errorf("closed since another type is awaited: got %d, want 410", got)
	}
}
