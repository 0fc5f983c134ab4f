package inbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"
)

// Limits of a request.
const (
	maxTitle = 200  // characters
	maxText  = 4000 // characters
	maxFacts = 32
	maxName  = 80   // characters of a fact's name or a person's name
	maxValue = 1000 // characters of a fact's value
	maxWho   = 64   // people and groups in a list
	maxID    = 256  // bytes of a person's ID or a group's name
	maxNeeds = 32
)

// Request describes what people decide on. All texts are plain text: pages show
// HTML as it is written. A Request must fit into a note of the journal (16
// KiB).
type Request struct {
	// Title is a line that says what to decide. A title has at most 200
	// characters, without HTML. Required.
	Title string `json:"title"`

	// Text says more. Text has at most 4,000 characters, without HTML.
	Text string `json:"text,omitempty"`

	// Facts are the rows of a table, at most 32. Put text of users into the
	// values of facts: a value may contain any text.
	Facts []Fact `json:"facts,omitempty"`

	// For lists the people and groups who are asked. Required, unless
	// Options.Links is set: without For, only holders of a link may decide.
	For []string `json:"for,omitempty"`

	// NotBy lists the people and groups who may not decide.
	NotBy []string `json:"notBy,omitempty"`

	// Needs is how many people must give the same answer, at most 32. Defaults
	// to 1.
	Needs int `json:"needs,omitempty"`

	// Due is the time by which a decision is wanted. Pages sort by Due, and a
	// late decision still counts. Defaults to none.
	Due time.Time `json:"due,omitzero"`
}

// Fact is a name and a value that pages show.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ErrInvalidRequest means that a Request exceeds one of its limits.
var ErrInvalidRequest = errors.New("inbox: invalid request")

// needs returns how many people must give the same answer.
func (r Request) needs() int { return max(r.Needs, 1) }

// check reports which field is wrong.
func (r Request) check(links bool) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalidRequest, fmt.Sprintf(format, args...))
	}
	if strings.TrimSpace(r.Title) == "" {
		return wrong("Request.Title is required")
	}
	for _, f := range []struct {
		name, text string
		most       int
		lines      bool
	}{{"Title", r.Title, maxTitle, false}, {"Text", r.Text, maxText, true}} {
		if problem := checkText(f.text, f.most, f.lines); problem != "" {
			return wrong("Request.%s %s", f.name, problem)
		}
		if markup.MatchString(f.text) {
			return wrong("Request.%s must be plain text, and has HTML", f.name)
		}
	}
	if len(r.Facts) > maxFacts {
		return wrong("Request.Facts must be at most %d, got %d", maxFacts, len(r.Facts))
	}
	for i, f := range r.Facts {
		problem := checkText(f.Name, maxName, false)
		if strings.TrimSpace(f.Name) == "" {
			problem = "is required"
		}
		if problem == "" && markup.MatchString(f.Name) {
			problem = "must be plain text, and has HTML"
		}
		if problem != "" {
			return wrong("Request.Facts[%d].Name %s", i, problem)
		}
		if n := utf8.RuneCountInString(f.Value); n > maxValue || !utf8.ValidString(f.Value) {
			return wrong("Request.Facts[%d].Value must be at most %d characters of UTF-8, got %d", i, maxValue, n)
		}
	}
	if len(r.For) == 0 && !links {
		return wrong("Request.For is required, unless Options.Links is set")
	}
	for name, list := range map[string][]string{"For": r.For, "NotBy": r.NotBy} {
		if len(list) > maxWho {
			return wrong("Request.%s must be at most %d people and groups, got %d", name, maxWho, len(list))
		}
		for i, who := range list {
			if problem := checkWho(who); problem != "" {
				return wrong("Request.%s[%d] %s", name, i, problem)
			}
		}
	}
	for _, who := range r.For {
		if slices.Contains(r.NotBy, who) {
			return wrong("Request.NotBy has %q, and so has For", who)
		}
	}
	if r.Needs < 0 || r.Needs > maxNeeds {
		return wrong("Request.Needs must be between 1 and %d, or 0 for 1, got %d", maxNeeds, r.Needs)
	}
	return nil
}

// checkWho returns the problem of a person's ID or a group's name, or "".
func checkWho(who string) string {
	if strings.TrimSpace(who) != who || who == "" || len(who) > maxID {
		return fmt.Sprintf("must be 1 to %d bytes without spaces around them", maxID)
	}
	return checkText(who, maxID, false)
}

// unretried prevents retries of an attempt that would fail again.
func unretried(err error) error {
	return temporal.NewNonRetryableApplicationError(err.Error(), "latchkey.InvalidRequest", err)
}
