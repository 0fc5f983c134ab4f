package completer

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// taskToken is a token as a server makes it, with the fields that Find reads.
func taskToken(workflow, run, activity string, event, attempt uint64) (b []byte) {
	for num, v := range map[protowire.Number]string{1: "namespace-id", 2: workflow, 3: run, 6: activity, 8: "Approve"} {
		b = protowire.AppendTag(b, num, protowire.BytesType)
		b = protowire.AppendString(b, v)
	}
	for num, v := range map[protowire.Number]uint64{4: event, 5: attempt, 11: 0} {
		b = protowire.AppendTag(b, num, protowire.VarintType)
		b = protowire.AppendVarint(b, v)
	}
	return b
}

func TestReadToken(t *testing.T) {
	tok, err := readToken(taskToken("w", "r", "5", 7, 2))
	if err != nil || tok.workflowID != "w" || tok.runID != "r" || tok.activityID != "5" || tok.scheduledEvent != 7 || tok.attempt != 2 {
		t.Fatalf("the token is %+v, %v", tok, err)
	}
	for name, c := range map[string]struct {
		given Target
		bad   bool
	}{
		"nothing":          {},
		"the same":         {given: Target{WorkflowID: "w", RunID: "r", ActivityID: "5"}},
		"another workflow": {given: Target{WorkflowID: "x"}, bad: true},
		"another run":      {given: Target{WorkflowID: "w", RunID: "x"}, bad: true},
		"another activity": {given: Target{ActivityID: "6"}, bad: true},
	} {
		got, err := tok.name(c.given)
		if errors.Is(err, ErrBadToken) != c.bad || !c.bad && (got.WorkflowID != "w" || got.RunID != "r" || got.ActivityID != "5") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if tok.fits(2) != nil || !errors.Is(tok.fits(3), ErrBadToken) {
		t.Error("the token is of attempt 2 only")
	}
	if none, err := readToken(nil); err != nil || none.given || none.fits(9) != nil {
		t.Errorf("no token is %+v, %v", none, err)
	}
}

// FuzzReadToken: bytes that are not a token are refused, and have no other
// effect.
func FuzzReadToken(f *testing.F) {
	f.Add(taskToken("w", "r", "5", 7, 2))
	f.Add([]byte("garbage"))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := readToken(b)
		if err != nil && !errors.Is(err, ErrBadToken) {
			t.Errorf("the error is %v", err)
		}
		if err == nil && tok.given && (tok.activityID == "" || tok.attempt == 0) {
			t.Errorf("a token without an attempt is taken: %+v", tok)
		}
	})
}
